// What phones, Slack and shells do to a line, undone.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import { splitLine, unescapeSlack } from '../../../bot/commands/line.ts'
import { quoteWord } from '../../../bot/views/quote.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const texts = (line: string): string[] | undefined => splitLine(line)?.map((word) => word.text)

describe('splitLine', () => {
  test.each([
    ['store  list\tzone=z1', ['store', 'list', 'zone=z1']],
    ['image show "my image"', ['image', 'show', 'my image']],
    ['store edit a description="two words"', ['store', 'edit', 'a', 'description=two words']],
    ['store edit a description=“two words”', ['store', 'edit', 'a', 'description=two words']],
    ['store edit a description=„zwei Worte“', ['store', 'edit', 'a', 'description=zwei Worte']],
    ['store edit a description=‘two words’', ['store', 'edit', 'a', 'description=two words']],
    ['store cleanup a —dry-run', ['store', 'cleanup', 'a', '--dry-run']],
    ['store cleanup a –dry-run', ['store', 'cleanup', 'a', '--dry-run']],
    ["image show it's", ['image', 'show', "it's"]],
    ['schedule edit a cleanup "17 3 * * *"', ['schedule', 'edit', 'a', 'cleanup', '17 3 * * *']],
    ['', []],
  ])('%s', (line, words) => {
    expect(texts(line)).toEqual(words)
  })

  test('says that a quote is not closed', () => {
    expect(splitLine('image show "my image')).toBeUndefined()
  })

  test('a quoted word is never an option', () => {
    expect(splitLine('image show "--confirm"')?.[2]).toEqual({ text: '--confirm', literal: true })
  })

  test('returns every word that quoteWord quoted, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ minLength: 1 }).filter((text) => !/[\n\r]/.test(text)),
          { minLength: 1 },
        ),
        (words) => {
          expect(texts(words.map(quoteWord).join(' '))).toEqual(words)
        },
      ),
    )
  })
})

describe('unescapeSlack', () => {
  test.each([
    ['store add url=<http://10.0.0.7:8420>', 'store add url=http://10.0.0.7:8420'],
    ['store add url=<http://edge.example:8420|edge.example:8420>', 'store add url=http://edge.example:8420'],
    ['image show a&amp;b &lt;x&gt;', 'image show a&b <x>'],
    ['image show &amp;lt;', 'image show &lt;'],
  ])('%s', (text, plain) => {
    expect(unescapeSlack(text)).toBe(plain)
  })
})
