// SPDX-License-Identifier: Apache-2.0
// Compares where weir's tokenizer and parse5 see tags and attributes: node tags.mjs PRINT_TAGS SEED COUNT < (names of files, one a line)
// Prints {documents, foreign, tags, differing, differences: [{name, at, weir, parse5, text}]}. `foreign` and `differing` count apart: random documents
// with svg or math, and those of them that differ. A tree knows which element an end tag closes, and so whether svg goes with it.
import fs from 'node:fs'
import { spawnSync } from 'node:child_process'
import { Parser } from 'parse5'

const [printTags, seed, count] = process.argv.slice(2)

// ---- Random documents: pieces of markup that belong together as little as possible

let state = Number(seed)
function random (n) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor(state / 4294967296 * n)
}
const pick = list => list[random(list.length)]

// Left out are tags that only a tree decides about: what select, frameset, template and table columns drop.
const names = ['a', 'p', 'div', 'img', 'b', 'style', 'script', 'title', 'textarea', 'xmp', 'iframe', 'noembed', 'noframes', 'svg', 'math', 'g', 'path',
  'desc', 'foreignObject', 'mi', 'mo', 'meta', 'base', 'font', 'noscript', 'table', 'td', 'form', 'input', 'br', 'x-y', 'A', 'ScRiPt', 'STYLE', 'tItLe', 'scripts']
const values = ['"x"', "'y'", 'z', '""', "''", '"a>b"', "'<a href=x>'", '"', "'", 'a"b', '/x/', '=', '', 'a=b', '&quot;', '"\n"']
const attributes = ['href', 'src', 'class', 'style', 'color', 'data-x', 'HREF', 'srcset', '"', "'", '<', '=', '==', 'a', 'xlink:href', '\u00e9']
const spaces = ['', ' ', '\n', '\t', '\f', '/', '/ ', ' /', '  ', '\r\n']
const odd = ['<', '>', '"', "'", '/', '!', '-', '--', '->', '-->', '--!>', '<!--', '<!-->', '<!--->', '<!---!>', '<!--!>', '<!-- a -->', '<!DOCTYPE html>', '<!x>', '<?php ?>',
  '</3>', '</>', '<3', '< a>', '<![CDATA[', ']]>', ']]', '</', '<!', '<?', 'text', '&amp;', 'a < b', '<!-- <script> -->', '\n', '=', '</script', '</style ', '<scrip', '</SCRIPT>', '<!--<!--']

function attribute () {
  return pick(spaces) + pick(attributes) + (random(4) ? pick(spaces) + '=' + pick(spaces) + pick(values) : '')
}

function piece () {
  switch (random(6)) {
    case 0: case 1: {
      let tag = '<' + pick(names)
      for (let n = random(4); n > 0; n--) tag += ' ' + attribute()
      return tag + pick(spaces) + (random(12) ? '>' : '')
    }
    case 2: case 3: return '</' + pick(names) + pick(spaces) + (random(12) ? '>' : '')
    default: return pick(odd)
  }
}

function document () {
  let text = ''
  for (let n = 1 + random(30); n > 0; n--) text += piece()
  return text
}

// ---- What parse5 says. It has a tree, and so tells the tokenizer what follows.

class Recorder extends Parser {
  seen = new Map()

  note (token, isEnd) {
    const attrs = Object.values(token.location?.attrs ?? {}).map(a => [a.startOffset, a.endOffset])
    this.seen.set(token.location.startOffset, [token.location.startOffset, token.location.endOffset, isEnd, attrs])
  }

  onStartTag (token) {
    this.note(token, false)
    super.onStartTag(token)
  }

  onEndTag (token) {
    this.note(token, true)
    super.onEndTag(token)
  }
}

function byParse5 (text) {
  const parser = new Recorder({ sourceCodeLocationInfo: true, scriptingEnabled: false })
  parser.tokenizer.write(text, true)
  return [...parser.seen.values()].sort((a, b) => a[0] - b[0])
}

// Of two attributes of one name parse5 keeps the first: each that it has, weir has. Of one whose quoted value is followed by the next
// name at once (`a="b"c`) it says that it ends where its name does.
function agree (weir, parse5, text) {
  if (!weir || !parse5 || weir[0] !== parse5[0] || weir[1] !== parse5[1] || weir[2] !== parse5[2]) return false
  const ends = new Map(weir[3])
  return parse5[2] || parse5[3].every(([start, end]) => ends.get(start) === end || (ends.get(start) > end && !/[\s/>]/.test(text[ends.get(start)])))
}

const files = fs.readFileSync(0, 'latin1').split('\n').filter(Boolean)
const documents = files.map(name => [name, fs.readFileSync(name)])
for (let i = 0; i < Number(count); i++) documents.push([`random ${i}`, Buffer.from(document(), 'latin1')])

const input = Buffer.concat(documents.flatMap(([, bytes]) => {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes.length)
  return [length, bytes]
}))
const done = spawnSync(printTags, { input, maxBuffer: 1 << 30 })
if (done.status !== 0) throw new Error(`${printTags} ended with ${done.status}: ${done.stderr}`)
const lines = done.stdout.toString('latin1').split('\n')

const out = { documents: documents.length, foreign: 0, tags: 0, differing: 0, differences: [] }
documents.forEach(([name, bytes], i) => {
  const text = bytes.toString('latin1'), weir = JSON.parse(lines[i]), parse5 = byParse5(text)
  const foreign = i >= files.length && /<(svg|math)/i.test(text)
  out.tags += parse5.length
  out.foreign += foreign
  for (let k = 0; k < Math.max(weir.length, parse5.length); k++) {
    if (agree(weir[k], parse5[k], text)) continue
    if (foreign) {
      out.differing++
      break
    }
    const at = Math.min(weir[k]?.[0] ?? Infinity, parse5[k]?.[0] ?? Infinity)
    if (out.differences.length < 8) {
      out.differences.push({ name, at, weir: weir[k], parse5: parse5[k], text: text.length < 600 ? text : text.slice(Math.max(0, at - 200), at + 200) })
    }
    break // what follows is of no use
  }
})
console.log(JSON.stringify(out))
