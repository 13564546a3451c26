// SPDX-License-Identifier: Apache-2.0
// Walks an application in Debian's Chromium: what to do comes as JSON on standard input.
//   {executable, args, start: [URL...], pages, login: {url, user, password} | null, name}
// Follows links of the start pages' origin, but for editors (which show what somebody typed), until `pages` were seen, logs in first where it is told how, and looks for `name` in whatever arrives:
// addresses, fields, content that is text, cookies. Prints {pages, responses, loggedIn, found: [{where, url, text}], failed: [{url, status}]}.
import { chromium } from 'playwright-core'

let text = ''
for await (const piece of process.stdin) text += piece
const task = JSON.parse(text)
const out = { pages: 0, responses: 0, loggedIn: false, found: [], failed: [] }

function look (where, url, content) {
  const at = content.toLowerCase().indexOf(task.name)
  if (at >= 0) out.found.push({ where, url, text: content.slice(Math.max(0, at - 80), at + 80) })
}

async function inspect (response) {
  const url = response.url()
  if (!url.startsWith('http')) return
  out.responses++
  look('address', url, url)
  for (const { name, value } of await response.headersArray()) look(`field ${name}`, url, value)
  if (response.status() >= 400) out.failed.push({ url, status: response.status() })
  if (response.status() >= 300 && response.status() < 400) return
  const type = response.headers()['content-type'] ?? ''
  if (/text|html|xml|json|javascript/.test(type)) look(`content ${type}`, url, (await response.body()).toString('latin1'))
}

const browser = await chromium.launch({ executablePath: task.executable, args: task.args })
const context = await browser.newContext()
const page = await context.newPage()
const open = new Set()
page.on('response', response => {
  const p = inspect(response).catch(() => {}).finally(() => open.delete(p)) // a page that is left takes its content along
  open.add(p)
})

async function visit (url) {
  await page.goto(url, { waitUntil: 'load', timeout: 30000 })
  await Promise.all([...open])
  out.pages++
  look('content of the page', url, await page.content())
}

if (task.login) {
  await visit(task.login.url)
  await page.fill('input[name=u]', task.login.user)
  await page.fill('input[name=p]', task.login.password)
  await Promise.all([page.waitForNavigation(), page.click('button[type=submit]:near(input[name=p])')])
  await Promise.all([...open])
  out.loggedIn = (await page.content()).includes('do=logout')
}

const origin = new URL(task.start[0]).origin
const seen = new Set()
const queue = [...task.start]
while (queue.length && out.pages < task.pages) {
  const url = queue.shift()
  if (seen.has(url)) continue
  seen.add(url)
  try {
    await visit(url)
  } catch (e) {
    if (!/ERR_ABORTED|Download/.test(e.message)) out.failed.push({ url, status: e.message.split('\n')[0] }) // a file to be kept is no page
    continue
  }
  const links = await page.evaluate(() => [...document.querySelectorAll('a[href], form[action]')].map(e => (e.href || e.action).split('#')[0]))
  for (const link of links) {
    if (typeof link === 'string' && link.startsWith(origin) && !/do=(logout|unlock|revert|edit|source|export)|snapshot/.test(link)) queue.push(link)
    else look('link', url, String(link))
  }
}
for (const c of await context.cookies()) look(`cookie ${c.name}`, c.domain, JSON.stringify(c))
await browser.close()
console.log(JSON.stringify(out))
