// Agents whose names and texts have markup, terminal escapes, line ends, invisible characters and great length: they change nothing in the console
// and in Slack.

import { describe, expect, test } from 'bun:test'
import { renderMessage } from '../../../../bot/views/blocks.ts'
import { renderJson } from '../../../../bot/views/json.ts'
import { renderTerminal } from '../../../../bot/views/terminal.ts'
import { blocksRefusal } from '../../../support/clients/fake-slack/block-rules.ts'
import { imageOf, openScriptedFleet, page, storeOf } from '../scripted-fleet.ts'

const HOSTILE: Readonly<Record<string, string>> = {
  'terminal escapes': '\u001b[2J\u001b]0;title\u0007red\u009b31m',
  'markup of Slack': '<!channel> <@U1> <https://evil.example|here> *bold* `code` &lt;!here&gt;',
  'line ends': 'first\nsecond\r\n● edge-b Running\u2028third\u0085fourth',
  'invisible characters': 'a\u202Egnp.exe\u202C\u200B\u2066b\uFEFF',
  'great length': 'x'.repeat(100_000),
}

const time = '2026-01-01T00:00:00.000Z'

/** A store whose every text is this one. */
function open(text: string) {
  // Where the schema refuses a text, the whole answer is refused as one that is not of an agent.
  const image = imageOf(1, {
    description: text,
    owner: text,
    statusReason: text,
    mediaGroup: text,
    sourceInstance: text,
    bindings: [text],
    labels: { a: text },
    name: text,
  })
  const progress = { done: 0, total: 1, unit: text, rate: 0, etaSeconds: null }
  const error = { type: 'urn:slipway:problem:internal', title: text, status: 500, detail: text, action: text }
  const task = {
    id: 'tsk_00000000000000000000000001',
    kind: 'cleanup',
    state: 'failed',
    subject: text,
    createdBy: text,
    createdAt: time,
    endedAt: time,
    progress: { ...progress, unit: 'bytes' },
    result: { note: text },
    error,
  }
  return openScriptedFleet({
    'edge-a': {
      'GET /health': { state: 'degraded', checks: [{ name: 'clock', state: 'failed', measured: text, limit: text, impact: text, action: text }], asOf: time },
      'GET /store': { ...storeOf(), name: text, description: text, mount: text, scope: text, version: text, enabled: false, disabledReason: text },
      'GET /images': page([image]),
      [`GET /images/${image.id}`]: image,
      'GET /tasks': page([task]),
      'GET /events': page([{ id: '1', time, type: text, severity: 'warning', subject: text, message: text, actor: text, details: { note: text } }]),
      'GET /files': page([{ name: text, kind: 'folder', length: 0, modifiedAt: time }]),
      'GET /media-groups': page([{ name: text, visible: true, description: text, images: 1, createdAt: time }]),
      'GET /tokens': page([
        {
          id: 'tok_00000000000000000000000001',
          name: text,
          role: 'viewer',
          createdAt: time,
          expiresAt: null,
          lastUsedAt: null,
          subject: text,
          groups: [text],
          grant: null,
        },
      ]),
      'POST /unique-size': { uniqueSize: 1 },
    },
  })
}

const isPlainText = (value: unknown): boolean => typeof value === 'object' && value !== null && 'type' in value && value.type === 'plain_text'

const LINES = [
  'store list',
  'store show edge-a',
  'store health edge-a',
  'store browse edge-a',
  'zone list',
  'zone show zone-1',
  'image list',
  `image show ${imageOf(1).id}`,
  `image delete ${imageOf(1).id}`,
  `image purge ${imageOf(1).id}`,
  'event list',
  'task list',
  'task show 0001',
  'media-group list',
  'token list',
]

/** Characters that a terminal obeys or does not show; the line feeds of the layout are not among them. */
const UNPLAIN = /\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}/u

describe.each(Object.entries(HOSTILE))('texts with %s', (_what, text) => {
  test.each(LINES)('in %s stay texts', async (line) => {
    using it = open(text)
    const view = await it.run(line)
    const terminal = renderTerminal(view, { width: 120, color: false, nowMs: view.asOfMs })
    expect(UNPLAIN.exec(terminal.replaceAll('\n', ''))).toBeNull()
    expect(terminal.split('\n').filter((row) => /^(second|● edge-b Running|third|fourth)/.test(row))).toEqual([])
    expect(UNPLAIN.exec(renderJson(view).replaceAll('\n', ''))).toBeNull()

    const message = renderMessage(view, { nowMs: view.asOfMs, command: line, register: () => crypto.randomUUID() })
    expect(blocksRefusal(message.blocks, 'message')).toBeUndefined()
    // Slack reads no markup in plain text.
    const sent = JSON.stringify(message, (_key, value: unknown) => (isPlainText(value) ? '' : value))
    expect(sent).not.toContain('<!channel>')
    expect(sent).not.toContain('<@U1>')
    expect(sent).not.toContain('<https://evil.example')
    expect(sent.length).toBeLessThan(120_000)
  })
})
