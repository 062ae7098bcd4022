// Which answers of an agent are taken as an archive of evidence, and what the bot writes of its own where there is none.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { runLine } from '../../../../../bot/commands/run.ts'
import { openScriptedFleet } from '../../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const bytesOf = (length: number, first: number, second: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(length)
  bytes.set([first, second])
  return bytes
}

/** Asks for the evidence of a store that answers with these bytes; the file is kept in memory. */
async function ask(answer: Uint8Array<ArrayBuffer>, line = 'store evidence edge-a', isConsole = true) {
  using it = openScriptedFleet({
    'edge-a': { 'GET /evidence': () => new Response(answer, { headers: { 'content-type': 'application/gzip' } }) },
    'edge-b': {},
  })
  let length = 0
  const fileWriter = {
    async write(path: string, pieces: AsyncIterable<string | Uint8Array>) {
      for await (const piece of pieces) length += piece.length
      return { path, length }
    },
  }
  const context = { ...it.bot.context({ name: 'ann', role: 'operator' }, isConsole ? 'console' : 'slack'), evidenceFiles: fileWriter }
  const view = await runLine(isConsole ? { ...context, fileWriter } : context, line)
  return { view, length, json: view.json as { readonly from?: string; readonly store?: string; readonly length?: number } }
}

test.each([
  ['an archive', bytesOf(19, 0x1f, 0x8b), 'agent'],
  ['bytes that are too few', bytesOf(18, 0x1f, 0x8b), 'bot'],
  ['another first byte', bytesOf(19, 0x20, 0x8b), 'bot'],
  ['another second byte', bytesOf(19, 0x1f, 0x8c), 'bot'],
])('%s comes from the agent, or the bot makes one', async (_what, answer, from) => {
  const { view, json, length } = await ask(answer)
  expect([json.from, json.store, view.tone]).toEqual([from, 'edge-a', from === 'agent' ? 'good' : 'warning'])
  expect(view.text).toStartWith(from === 'agent' ? 'The agent of edge-a made the archive.' : 'The agent of edge-a gave no archive.')
  expect(length).toBe(json.length ?? 0)
  if (from === 'agent') expect(length).toBe(19)
  else expect(length).toBeGreaterThan(100)
})

test('in Slack the archive lies on the node of the bot, and nobody names its file', async () => {
  const archive = bytesOf(19, 0x1f, 0x8b)
  const fileOf = async (isConsole: boolean) => (await ask(archive, 'store evidence edge-a', isConsole)).view.fields[0]?.value
  expect(await fileOf(true)).toMatch(/^slipway-evidence-edge-a-.*\.tar\.gz$/)
  expect(await fileOf(false)).toMatch(/^slipway-evidence-edge-a-.*\.tar\.gz on the node of the bot$/)
  expect((await ask(archive, 'store evidence edge-a file=x', false)).view.text).toBe('Files are named in the console only.')
  expect((await ask(archive, 'store evidence edge-a file=x')).view.fields[0]?.value).toBe('x')
})
