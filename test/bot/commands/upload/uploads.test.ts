// `upload list`, `upload show` and `upload cancel`, and the policy that a delete button states, with a real agent.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { startAgent } from '../../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../../fixture.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('an upload is listed, shown and cancelled, and a store says what deletions do', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  using bot = openTestBot(folder.file('home'))
  const token = agent.headers()['authorization']?.replace('Bearer ', '') ?? ''
  expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${token}`, 'zone=z')).code).toBe(0)
  expect((await runCommand(bot, 'upload', 'list')).output).toContain('No upload is in progress.')

  const headers = agent.headers({ 'Tus-Resumable': '1.0.0', 'Upload-Length': '4000', 'Upload-Metadata': `name ${btoa('disk')},device ${btoa('laptop')}` })
  await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers })
  const { value: list } = await runJson(bot, 'upload', 'list', 'store=edge-a')
  expect(list['items']).toMatchObject([{ store: 'edge-a', name: 'disk', device: 'laptop', state: 'uploading', offset: 0, length: 4000 }])
  expect((await runJson(bot, 'upload', 'list', 'state=pending')).value['items']).toEqual([])
  expect((await runCommand(bot, 'upload', 'list', 'state=done')).code).toBe(1)
  const shown = await runCommand(bot, 'upload', 'show', 'disk')
  expect(shown.output).toContain('0 B of 4.0 kB (0 %)')
  expect(shown.output).toContain('It becomes an image when the last byte has arrived.')
  // Its image says the same, and a button to cancel instead of to delete.
  const image = await runCommand(bot, 'image', 'show', 'disk')
  expect(image.output).toContain('Uploading')
  expect((await runJson(bot, 'image', 'list', 'status=uploading')).value['items']).toHaveLength(1)

  // Deleting it cancels the upload, and the question says so.
  const asked = await runJson(bot, 'image', 'delete', 'disk')
  expect(asked.value).toMatchObject({ confirm: 'disk', blocked: false })
  expect(String(asked.value['question'])).toContain('in edge-a would be cancelled: its upload has not finished, and nothing of it stays.')
  expect((await runCommand(bot, 'image', 'delete', 'disk', '--confirm', 'disk')).code).toBe(0)
  expect((await runCommand(bot, 'upload', 'list')).output).toContain('No upload is in progress.')
  await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers })

  expect((await runCommand(bot, 'upload', 'cancel', 'disk')).output).toContain('Upload disk cancelled')
  expect((await runCommand(bot, 'upload', 'show', 'disk')).code).toBe(1)
  expect((await runJson(bot, 'image', 'list')).value['items']).toEqual([])

  expect((await runCommand(bot, 'store', 'edit', 'edge-a', 'deletion=never')).output).toContain(
    'never: deleted images stay in the recycle bin; the configuration says delayed',
  )
  expect((await runJson(bot, 'store', 'show', 'edge-a')).value).toMatchObject({ retention: { deletion: 'never' } })
  expect((await runCommand(bot, 'store', 'edit', 'edge-a', 'deletion=configured', 'retention=7d')).output).toContain('recycle bin for 7 d')
})
