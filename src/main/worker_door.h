// SPDX-License-Identifier: Apache-2.0
// The admin API's way to the supervisor.
#ifndef WEIR_MAIN_WORKER_DOOR_H
#define WEIR_MAIN_WORKER_DOOR_H

/// From now on the API asks over this channel.
void worker_door_open(int channel);

#endif
