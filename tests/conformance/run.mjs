// SPDX-License-Identifier: Apache-2.0
// Runs the suite: node run.mjs BASE [PROXY_PORT]. Prints one JSON object: id -> {kind, name, verdict, why}. A verdict is `pass`, `fail`,
// or, as the suite itself counts, `no setup` (its own first step did not come about) and `no ground` (a test that it depends on did not pass).
import http from 'node:http'
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [base, proxyPort] = process.argv.slice(2)
const suite = process.env.CACHE_TESTS || path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), 'node_modules/http-cache-tests')
const at = name => pathToFileURL(path.join(suite, name)).href
const engine = fs.existsSync(path.join(suite, 'test-engine')) ? 'test-engine/' : '' // newer versions have their code there
const { runTests, getResults } = await import(at(engine + 'client/runner.mjs'))
const tests = (await import(at('tests/index.mjs'))).default

// A forward proxy takes the absolute form.
class AbsoluteAgent extends http.Agent {
  addRequest (request, options) {
    request.path = `http://${options.host}:${options.port}${request.path}`
    super.addRequest(request, { ...options, host: '127.0.0.1', port: Number(proxyPort) })
  }
}

// Newer versions use the built-in fetch, which takes undici's dispatcher, but look for interim answers with one of their own.
async function useProxy () {
  const { ProxyAgent, setGlobalDispatcher } = (await import(at('node_modules/undici/index.js'))).default
  setGlobalDispatcher(new ProxyAgent({ uri: `http://127.0.0.1:${proxyPort}`, proxyTunnel: false }))
}

if (engine) {
  if (proxyPort) await useProxy()
  await runTests(tests, false, base)
} else {
  const { default: fetch } = await import(pathToFileURL(path.join(suite, '../node-fetch/lib/index.js')).href)
  const agent = proxyPort ? new AbsoluteAgent({ keepAlive: true }) : new http.Agent({ keepAlive: true })
  await runTests(tests, (url, init) => fetch(url, { ...init, agent }), false, base)
}

const results = getResults()
const byId = new Map(tests.flatMap(set => set.tests).map(test => [test.id, test]))

const stands = test => results[test.id] === true && (test.depends_on ?? []).every(id => byId.has(id) && stands(byId.get(id)))

function verdict (test) {
  const r = results[test.id]
  if (r === true) return 'pass'
  if (!(test.depends_on ?? []).every(id => byId.has(id) && stands(byId.get(id)))) return 'no ground'
  return r[0] === 'Setup' ? 'no setup' : 'fail'
}

const goesPast = test => Boolean(engine && proxyPort && test.requests.some(r => 'expected_interim_responses' in r))
const out = {}
for (const test of byId.values()) {
  const r = results[test.id]
  if (!r || test.browser_only || goesPast(test)) continue
  out[test.id] = { kind: test.kind ?? 'required', name: test.name, verdict: verdict(test), why: r === true ? '' : r[1] }
}
fs.writeFileSync(1, JSON.stringify(out))
process.exit(0)
