// Images in lists and alone: how one is named, which copies there are, and what is said of one that is not usable.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { OpenBot } from '../../../../../bot/open.ts'
import { createTemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import { createMemoryAgent } from '../../../../support/memory/memory-agent.ts'
import type { MemoryAgent } from '../../../../support/memory/memory-agent.ts'
import { memoryImage } from '../../../../support/memory/memory-image.ts'
import { openTestBot, runCommand, runJson } from '../../../fixture.ts'

// Connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const id = (part: string): string => `img_${part.padEnd(26, '0')}`

let folder: Awaited<ReturnType<typeof createTemporaryFolder>>
let bot: OpenBot
let agents: MemoryAgent[]
beforeAll(async () => {
  folder = await createTemporaryFolder()
  bot = openTestBot(folder.path)
  const [a, b] = (agents = ['edge-a', 'edge-b'].map(createMemoryAgent))
  a?.images.push(
    memoryImage({ id: id('aaaa1'), name: 'debian', bindings: ['vm-7'], length: 100, storedSize: 30, availableAt: '2026-01-01T00:05:00.000Z' }),
    memoryImage({ id: id('aaaa2'), name: 'alpine', length: 200, storedSize: null, protected: true }),
    memoryImage({ id: id('bbbb1'), name: 'gone', status: 'deleted', deletedAt: '2026-01-02T00:00:00.000Z', expiresAt: '2026-01-05T00:00:00.000Z' }),
    memoryImage({ id: id('bbbb2'), name: 'kept', status: 'deleted', deletedAt: '2026-01-02T00:00:00.000Z' }),
    memoryImage({ id: id('eeee1'), name: 'broken', status: 'error', statusReason: 'Its digest differs.' }),
  )
  b?.images.push(
    memoryImage({ id: id('aaaa1'), name: 'debian', status: 'degraded' }),
    memoryImage({ id: id('cccc1'), name: 'twin' }),
    memoryImage({ id: id('cccc2'), name: 'twin' }),
    ...[1, 2, 3, 4, 5, 6].map((n) => memoryImage({ id: id(`dddd${n}`), name: `lost${n}`, status: 'fileUnavailable', statusReason: 'The file is gone.' })),
  )
  for (const { url, token, store } of agents)
    expect((await runCommand(bot, 'store', 'add', `name=${store.name}`, `url=${url}`, `token=${token}`, 'zone=zone-1')).code).toBe(0)
})
afterAll(async () => {
  bot[Symbol.dispose]()
  for (const agent of agents) await agent[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** Value of a field in an output. */
function field(output: string, label: string): string | undefined {
  return new RegExp(`^  ${label} {2,}(.*)$`, 'm').exec(output)?.[1]
}

describe('image list', () => {
  test('sums what is listed, and names five of the images that cannot be read', async () => {
    const { output } = await runCommand(bot, 'image', 'list', 'store=edge-a', 'status=available')
    expect(output).toContain('2 images, 300 B long, 30 B stored')
    const lost = await runCommand(bot, 'image', 'list', 'store=edge-b')
    expect(lost.output.match(/lost\d in edge-b cannot be read\. The file is gone\./g)).toHaveLength(5)
    expect(lost.output).toContain('1 more images cannot be read.')
  })

  test('is sorted by name, then by store', async () => {
    const { value } = await runJson(bot, 'image', 'list', 'zone=zone-1')
    const names = (value['items'] as { name: string; store: string }[]).map(({ name, store }) => `${name} ${store}`)
    expect(names.slice(0, 4)).toEqual(['alpine edge-a', 'broken edge-a', 'debian edge-a', 'debian edge-b'])
  })

  test.each([
    ['status=avialable', 'Did you mean status=available?'],
    ['status=xyzzy', 'Use one of: creating, uploading,'],
  ])('refuses %s', async (option, action) => {
    const { code, output } = await runCommand(bot, 'image', 'list', option)
    expect(output).toContain(action)
    expect(code).toBe(1)
  })

  test('without images says so', async () => {
    expect((await runCommand(bot, 'image', 'list', 'store=edge-a', 'status=pending')).output).toContain('No images.')
  })
})

describe('image show', () => {
  test('names the copies, and shows the one that is available', async () => {
    const { output } = await runCommand(bot, 'image', 'show', 'debian')
    expect(output).toContain('Image debian\n')
    expect(field(output, 'Stores')).toBe('edge-a (Available), edge-b (Degraded)')
    expect(field(output, 'Status')).toContain('Available')
    expect(field(output, 'In use by')).toBe('vm-7')
    expect(field(output, 'Protected')).toBe('no')
    expect(field(output, 'Length')).toBe('100 B')
    expect(field(output, 'Published')).toBe('2026-01-01 00:05:00 UTC')
    expect(field(output, 'Next')).toBeUndefined()
  })

  test.each([
    [id('aaaa2'), 'alpine'],
    ['img_aaaa2', 'alpine'],
    ['aaaa2', 'alpine'],
    ['alpine', 'alpine'],
    ['bbbb1', 'gone'],
    [id('bbbb2'), 'kept'],
  ])('finds %s: %s', async (text, name) => {
    expect((await runCommand(bot, 'image', 'show', text)).output).toContain(`Image ${name}\n`)
  })

  test('says what is wrong and what to do', async () => {
    const broken = (await runCommand(bot, 'image', 'show', 'broken')).output
    expect(field(broken, 'Reason')).toBe('Its digest differs.')
    expect(field(broken, 'Next')).toContain('then image purge the copy in error')
    const degraded = (await runCommand(bot, 'image', 'show', 'debian', 'store=edge-b')).output
    expect(field(degraded, 'Next')).toContain(`image sync ${id('aaaa1')} to=edge-b`)
    expect(field((await runCommand(bot, 'image', 'show', 'alpine')).output, 'In use by')).toBe('nothing')
    expect(field((await runCommand(bot, 'image', 'show', 'alpine')).output, 'Published')).toBeUndefined()
    expect(field((await runCommand(bot, 'image', 'show', 'alpine')).output, 'Protected')).toBe('yes')
  })

  test('of a deleted one says until when it is kept, and offers to restore it', async () => {
    const gone = (await runCommand(bot, 'image', 'show', 'gone')).output
    expect(field(gone, 'Deleted')).toBe('2026-01-02 00:00:00 UTC, deleted for good 2026-01-05 00:00:00 UTC')
    expect(gone).toContain(`image restore ${id('bbbb1')} store=edge-a`)
    expect(field((await runCommand(bot, 'image', 'show', 'kept')).output, 'Deleted')).toBe('2026-01-02 00:00:00 UTC, kept forever')
  })

  test.each([
    ['image show twin', `2 images match "twin": ${id('cccc1')}, ${id('cccc2')}.`],
    ['image show aaaa', `2 images match "aaaa": ${id('aaaa1')}, ${id('aaaa2')}.`],
    ['image show nothing', 'No store has an image "nothing".'],
    ['image delete debian', 'debian is in edge-a and edge-b.'],
    ['image restore nothing', 'No recycle bin has an image "nothing".'],
    ['image restore nothing store=edge-a', 'The recycle bin of edge-a has no image "nothing".'],
    ['image restore alpine', 'No recycle bin has an image "alpine".'],
    [`image restore ${id('aaaa2')}`, `No recycle bin has an image "${id('aaaa2')}".`],
    [`image delete ${id('bbbb1')}`, `No store has an image "${id('bbbb1')}".`],
    ['image delete nothing store=edge-b', 'edge-b has no image "nothing".'],
    ['help nothing', 'There is no command "nothing".'],
    ['help image nothing', 'image has no command "nothing".'],
    ['audit list limit=0', 'limit=0 is not a number from 1 to'],
    ['audit list limit=x', 'limit=x is not a number from 1 to'],
  ])('%s is refused: %s', async (line, sentence) => {
    const { code, output } = await runCommand(bot, ...line.split(' '))
    expect(output).toContain(sentence)
    expect(code).toBe(1)
  })
})
