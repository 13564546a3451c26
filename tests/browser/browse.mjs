// SPDX-License-Identifier: Apache-2.0
// Drives Debian's Chromium: what to do comes as JSON on standard input, what was seen goes out as JSON.
//   {executable, args: [...], steps: [{url, proxy?: {server, username, password}, script?}]}
// Each step is a page in a context of its own: it is loaded, then the script (an async function's body) runs in it.
//   [{status, title, value, error, requests: [{url, type, status, protocol, error}]}]
import { chromium } from 'playwright-core'

let text = ''
for await (const piece of process.stdin) text += piece
const task = JSON.parse(text)

async function watch (page) {
  const seen = new Map()
  const at = id => seen.get(id) ?? seen.set(id, {}).get(id)
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Network.enable')
  cdp.on('Network.requestWillBeSent', e => Object.assign(at(e.requestId), { url: e.request.url, type: e.type }))
  cdp.on('Network.responseReceived', e => Object.assign(at(e.requestId), { status: e.response.status, protocol: e.response.protocol }))
  cdp.on('Network.loadingFailed', e => Object.assign(at(e.requestId), { error: e.errorText }))
  return seen
}

async function step (browser, { url, proxy, script }) {
  const context = await browser.newContext({ proxy })
  const page = await context.newPage()
  const seen = await watch(page)
  const out = { status: 0, title: '', value: null, error: '' }
  try {
    const answer = await page.goto(url, { waitUntil: 'load', timeout: 30000 })
    out.status = answer.status()
    out.title = await page.title()
    if (script) out.value = await page.evaluate(`(async () => { ${script} })()`)
  } catch (e) {
    out.error = String(e.message).split('\n')[0]
  }
  out.requests = [...seen.values()]
  await context.close()
  return out
}

const browser = await chromium.launch({ executablePath: task.executable, args: task.args })
const out = []
for (const s of task.steps) out.push(await step(browser, s))
await browser.close()
console.log(JSON.stringify(out))
