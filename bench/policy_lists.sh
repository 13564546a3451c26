#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The lists of peers/weir-policy.conf, into this folder: 500,000 entries.
seq 250000 | awk '{ printf "n%d.site%d.example\n", $1, $1 % 9973 }' >names.txt
seq 100000 | awk '{ printf "0.0.0.0 h%d.host%d.example\n", $1, $1 % 997 }' >hosts.txt
seq 100000 | awk '{ if ($1 % 3) printf "||r%d.rules%d.example^\n", $1, $1 % 991; else printf "/word%d/*.js$script,third-party\n", $1 }' >rules.txt
seq 50000 | awk '{ printf "u%d.example/path/%d\n", $1 % 5003, $1 }' >urls.txt
