// SPDX-License-Identifier: Apache-2.0
// node adblock.mjs RULES: answers for each line `URL TAB SEC-FETCH-DEST TAB REFERER` of the standard input what Ghostery's engine
// decides by the rules of the file: `no`, or `yes RULE`. For test_adblock.py.
import fs from 'node:fs'
import readline from 'node:readline'
import { FiltersEngine, Request } from '@ghostery/adblocker'

const types = { script: 'script', image: 'image', style: 'stylesheet', iframe: 'sub_frame', empty: 'xmlhttprequest', font: 'font', video: 'media', audio: 'media', object: 'object', report: 'ping' }
const engine = FiltersEngine.parse(fs.readFileSync(process.argv[2], 'utf8'), { debug: true, loadCosmeticFilters: false, loadCSPFilters: false, enableCompression: false })

for await (const line of readline.createInterface({ input: process.stdin })) {
  const [url, destination, referer] = line.split('\t')
  const { match, filter, exception } = engine.match(Request.fromRawDetails({ url, type: types[destination] ?? 'other', sourceUrl: referer }))
  process.stdout.write(match ? `yes ${filter?.rawLine ?? filter}\n` : `no ${exception ? exception.rawLine ?? exception : ''}\n`)
}
