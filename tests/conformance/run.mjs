// SPDX-License-Identifier: Apache-2.0
// Runs the suite: node run.mjs BASE [PROXY_PORT]. Prints one JSON object: id -> {kind, name, ok, why}.
import http from 'node:http'
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [base, proxyPort] = process.argv.slice(2)
const suite = process.env.CACHE_TESTS || path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), 'node_modules/http-cache-tests')
const at = name => pathToFileURL(path.join(suite, name)).href
const engine = fs.existsSync(path.join(suite, 'test-engine')) ? 'test-engine/' : ''
const { runTests, getResults } = await import(at(engine + 'client/runner.mjs'))
const tests = (await import(at('tests/index.mjs'))).default

// A forward proxy takes the absolute form.
class ProxyAgent extends http.Agent {
  addRequest (request, options) {
    request.path = `http://${options.host}:${options.port}${request.path}`
    super.addRequest(request, { ...options, host: '127.0.0.1', port: Number(proxyPort) })
  }
}

if (engine) {
  await runTests(tests, false, base)
} else {
  const { default: fetch } = await import(pathToFileURL(path.join(suite, '../node-fetch/lib/index.js')).href)
  const agent = proxyPort ? new ProxyAgent({ keepAlive: true }) : new http.Agent({ keepAlive: true })
  await runTests(tests, (url, init) => fetch(url, { ...init, agent }), false, base)
}

const results = getResults()
const out = {}
for (const set of tests) {
  for (const test of set.tests) {
    const r = results[test.id]
    if (r === undefined || test.browser_only) continue
    out[test.id] = { kind: test.kind ?? 'required', name: test.name, ok: r === true, why: r === true ? '' : r[1], how: r === true ? '' : r[0] }
  }
}
console.log(JSON.stringify(out))
process.exit(0)
