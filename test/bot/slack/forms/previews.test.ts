// docs/slack.md shows the main forms and a picker as the bot renders them. With SLIPWAY_WRITE_PREVIEWS=1 this writes them.

import { expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { openBot } from '../../../../bot/open.ts'
import { runLine } from '../../../../bot/commands/run.ts'
import { formModal } from '../../../../bot/slack/forms/form-modal.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { systemClock } from '../../../../bot/system/clock.ts'
import { textOf } from '../../../support/clients/fake-slack/shown.ts'
import type { Json } from '../../../support/clients/fake-slack/shown.ts'

const DOCS = new URL('../../../../docs/slack.md', import.meta.url)
const SECTION = /(?<=<!-- previews of forms -->\n).*?(?=<!-- end of previews of forms -->)/s

interface Shown {
  readonly label?: Shown & string
  readonly hint?: { readonly text: string }
  readonly optional?: boolean
  readonly element?: Json
}

/** The element of an input as text: what is filled in, or what can be. */
function elementText(element: Json): string {
  const texts = (list: unknown): string => ((list ?? []) as { readonly text: { readonly text: string } }[]).map(({ text }) => text.text).join(', ')
  const initial = textOf(element['initial_value']) || texts(element['initial_options']) || texts(element['initial_option'] ? [element['initial_option']] : [])
  const placeholder = (element['placeholder'] as { readonly text: string } | undefined)?.text ?? ''
  const marks: Readonly<Record<string, string>> = {
    static_select: '▾',
    multi_static_select: '▾',
    external_select: '⌕',
    multi_external_select: '⌕',
    checkboxes: '☐',
  }
  const mark = marks[String(element['type'])] ?? ''
  const shown = element['type'] === 'checkboxes' ? texts(element['options']) : initial === '' ? placeholder : initial
  return `[ ${mark}${mark === '' ? '' : ' '}${shown}${shown === '' ? '' : ' '}]`
}

/** The preview of the form with which a line is answered. */
async function preview(line: string): Promise<string> {
  using bot = openBot('', { clock: systemClock, database: openMemoryDatabase() })
  bot.fleet.registry.add({ name: 'edge-a', url: 'https://edge-a.example:8420', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const { form } = await runLine(bot.context({ name: 'ada', role: 'admin' }, 'slack'), line)
  if (!form) throw new Error(`${line} has no form`)
  const modal = formModal(form, 'm1')
  const parts = (modal.blocks as unknown as readonly Json[]).map((block) => {
    if (block['type'] !== 'input') return String((block['text'] as Json)['text'])
    const { label, hint, optional, element } = block as unknown as Required<Shown>
    const words = (label as unknown as { readonly text: string }).text
    return [`${words}${optional ? ' (optional)' : ''} ${elementText(element)}`, ...(block['hint'] === undefined ? [] : [`  ${hint.text}`])].join('\n')
  })
  return [modal.title.text, ...parts, `[ ${modal.close?.text} ] [ ${modal.submit?.text} ]`].join('\n')
}

test('docs/slack.md shows the main forms as they are rendered', async () => {
  const lines = ['store add', 'store edit edge-a', 'image upload']
  const found: string[] = []
  for (const line of lines) found.push(`\n\`/slipway ${line}\`:\n\n\`\`\`text\n${await preview(line)}\n\`\`\`\n`)
  const docs = readFileSync(DOCS, 'utf8')
  if (process.env['SLIPWAY_WRITE_PREVIEWS'] === '1')
    writeFileSync(
      DOCS,
      docs.replace(SECTION, () => `${found.join('')}\n`),
    )
  else expect(SECTION.exec(docs)?.[0]).toBe(`${found.join('')}\n`)
})
