// docs/slack.md shows the main cards as the bot renders them. With SLIPWAY_WRITE_PREVIEWS=1 this writes them.

import { expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { previews } from './previews.ts'

const DOCS = new URL('../../../docs/slack.md', import.meta.url)
const SECTION = /(?<=<!-- previews -->\n).*?(?=<!-- end of previews -->)/s

test('docs/slack.md shows the main cards as they are rendered', async () => {
  const found = await previews()
  const text = found.map(([title, card]) => `\n${title}:\n\n\`\`\`text\n${card}\n\`\`\`\n`).join('')
  const docs = readFileSync(DOCS, 'utf8')
  if (process.env['SLIPWAY_WRITE_PREVIEWS'] === '1')
    writeFileSync(
      DOCS,
      docs.replace(SECTION, () => `${text}\n`),
    )
  else expect(SECTION.exec(docs)?.[0]).toBe(`${text}\n`)
  expect(found).toHaveLength(13)
})
