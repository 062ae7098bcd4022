// `image purge`: what it asks, what it refuses, and what is left afterwards.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { openBot } from '../../../../../bot/open.ts'
import { systemClock } from '../../../../../bot/system/clock.ts'
import type { OpenBot } from '../../../../../bot/open.ts'
import type { Fetch } from '../../../../../protocol/client/exchange.ts'
import { UNIQUE_SIZE_IMAGES_MAX } from '../../../../../protocol/images/image.ts'
import { formatSize } from '../../../../../protocol/units.ts'
import { openImageStore, seededBytes } from '../../../../support/images/image-store.ts'
import type { ImageStore } from '../../../../support/images/image-store.ts'
import { serveImages, STORE_ID } from '../../../../support/agents/image-server.ts'
import type { ImageServer } from '../../../../support/agents/image-server.ts'
import { createTemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../../../fixture.ts'

// Connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

interface Setup extends AsyncDisposable {
  readonly bot: OpenBot
  readonly store: ImageStore
  readonly server: ImageServer
}

async function setUp(): Promise<Setup> {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const store = stack.use(await openImageStore(folder))
  const server = stack.use(await serveImages(store))
  const bot = stack.use(openTestBot(folder.file('home')))
  bot.fleet.registry.add({ name: 'edge-a', url: server.url, token: 'admin', zone: 'zone-1', provider: 'local', storeId: STORE_ID }, systemClock.nowMs())
  return { bot, store, server, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

async function listed(bot: OpenBot): Promise<string[]> {
  const [images, bin] = await Promise.all([runJson(bot, 'image', 'list'), runJson(bot, 'image', 'bin')])
  return [images, bin].flatMap(({ value }) => (value['items'] as { name: string; status: string }[]).map(({ name, status }) => `${name} ${status}`)).toSorted()
}

describe('image purge I…', () => {
  test('asks for the names, says what cleanup can free afterwards, and deletes for good, from the bin and at once', async () => {
    await using it = await setUp()
    const bytes = seededBytes(300_000, 1)
    await it.store.add(bytes, { name: 'one' })
    await it.store.add(Buffer.concat([bytes, seededBytes(30_000, 2)]), { name: 'two' })
    expect((await runCommand(it.bot, 'image', 'delete', 'one', '--confirm', 'one')).code).toBe(0)

    const union = await it.server.client.images.uniqueSize((await runIds(it.bot)).toSorted())
    const asked = await runJson(it.bot, 'image', 'purge', 'one', 'two')
    expect(asked).toMatchObject({ code: 1, value: { confirm: 'one, two', blocked: false } })
    expect(asked.value['question']).toContain('would be deleted for good and could not be restored.')
    expect(asked.value['question']).toContain(`store cleanup edge-a can free ${formatSize(union ?? -1)}.`)
    expect((await runCommand(it.bot, 'image', 'purge', 'one', 'two', '--confirm', 'one')).code).toBe(1)
    expect(await listed(it.bot)).toEqual(['one deleted', 'two available'])

    const purged = await runCommand(it.bot, 'image', 'purge', 'one', 'two', '--confirm', 'one, two')
    expect(purged.code).toBe(0)
    expect(purged.output).toContain('The space is free after store cleanup edge-a.')
    expect(purged.output).toContain('Next: store cleanup edge-a')
    expect(await listed(it.bot)).toEqual([])
    expect((await runCommand(it.bot, 'audit')).output).toContain('image purge one two')
  })

  test('is blocked by protection and by bindings', async () => {
    await using it = await setUp()
    const kept = await it.store.add(seededBytes(9000, 1), { name: 'kept' })
    const used = await it.store.add(seededBytes(9000, 2), { name: 'used' })
    await it.server.client.images.patch(kept.id, { protected: true })
    await it.server.client.images.bind(used.id, 'vm-7')
    const { code, output } = await runCommand(it.bot, 'image', 'purge', 'kept', 'used', '--confirm', 'kept, used')
    expect(code).toBe(1)
    expect(output).toContain(`image unprotect ${kept.id}`)
    expect(output).toContain('used by vm-7')
    expect(await listed(it.bot)).toEqual(['kept available', 'used available'])
  })

  test('asks for the id when the recycle bin has another image of this name', async () => {
    await using it = await setUp()
    await it.store.add(seededBytes(9000, 1), { name: 'same' })
    await runCommand(it.bot, 'image', 'delete', 'same', '--confirm', 'same')
    const second = await it.store.add(seededBytes(9000, 2), { name: 'same' })
    const { code, output } = await runCommand(it.bot, 'image', 'purge', 'same', '--confirm', 'same')
    expect({ code, output }).toEqual({ code: 1, output: expect.stringContaining('in the recycle bin of edge-a') })
    expect(await runCommand(it.bot, 'image', 'purge', second.id, '--confirm', second.id)).toMatchObject({ code: 0 })
    expect(await listed(it.bot)).toEqual(['same deleted'])
  })

  test('does not carry out a plan that has changed since the name was typed', async () => {
    await using it = await setUp()
    const image = await it.store.add(seededBytes(9000, 1), { name: 'back' })
    await runCommand(it.bot, 'image', 'delete', 'back', '--confirm', 'back')
    const shown = await runJson(it.bot, 'image', 'purge', 'back')
    expect(shown.code).toBe(1)
    await it.server.client.images.restore(image.id)
    const again = await runCommand(it.bot, 'image', 'purge', image.id, '--plan=another', '--confirm', 'back')
    expect(again).toMatchObject({ code: 1, output: expect.stringContaining('has changed since the name was typed') })
    expect(await listed(it.bot)).toEqual(['back available'])
  })
})

describe('a purge in progress', () => {
  test('leaves an image that is restored meanwhile, deletes the others, and says so with exit code 1', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    await using server = await serveImages(store)
    const [first, second, third] = [
      await store.add(seededBytes(9000, 1), { name: 'first' }),
      await store.add(seededBytes(9000, 2), { name: 'second' }),
      await store.add(seededBytes(9000, 3), { name: 'third' }),
    ]
    for (const { id } of [first, second, third]) await server.client.images.delete(id)
    /** Restores the second image at the moment when the first one is purged. */
    const fetchAndRestore: Fetch = async (url, init) => {
      if (init.method === 'DELETE' && url.includes(first.id)) await server.client.images.restore(second.id)
      return fetch(url, init)
    }
    using bot = openBot(folder.file('home'), { clock: systemClock, fetch: fetchAndRestore })
    bot.fleet.registry.add({ name: 'edge-a', url: server.url, token: 'admin', zone: 'zone-1', provider: 'local', storeId: STORE_ID }, systemClock.nowMs())
    const { code, value } = await runJson(bot, 'image', 'purge', 'first', 'second', 'third', '--confirm', 'first, second, third')
    expect(code).toBe(1)
    expect(value['purged']).toMatchObject([{ name: 'first' }, { name: 'third' }])
    expect(value['failed']).toMatchObject([{ name: 'second', error: { detail: 'second was restored.' } }])
    expect(await listed(bot)).toEqual(['second available'])
  })
})

describe('image purge --bin', () => {
  test('of more images than the agent counts together asks without a figure', async () => {
    await using it = await setUp()
    for (let i = 0; i <= UNIQUE_SIZE_IMAGES_MAX; i++) {
      const { id } = await it.store.add(seededBytes(4096, i + 1), { name: `image-${i}` })
      await it.server.client.images.delete(id)
    }
    const { value } = await runJson(it.bot, 'image', 'purge', '--bin')
    expect(value['question']).toContain(`${UNIQUE_SIZE_IMAGES_MAX + 1} images in the recycle bin of edge-a`)
    expect(value['question']).not.toContain('can free')
  })

  test('empties the recycle bin of a store after its name was typed, and leaves every other image', async () => {
    await using it = await setUp()
    for (let i = 0; i < 12; i++) await it.store.add(seededBytes(9000, i + 1), { name: `image-${i}` })
    const names = Array.from({ length: 11 }, (_, i) => `image-${i}`)
    expect((await runCommand(it.bot, 'image', 'delete', ...names, '--confirm', names.join(','))).code).toBe(0)
    const asked = await runJson(it.bot, 'image', 'purge', '--bin')
    expect(asked).toMatchObject({ code: 1, value: { confirm: 'edge-a' } })
    expect(asked.value['question']).toContain('11 images in the recycle bin of edge-a')
    expect(asked.value['question']).toContain(' and 1 more would be deleted for good')
    const { code, value } = await runJson(it.bot, 'image', 'purge', '--bin', 'store=edge-a', '--confirm', 'edge-a')
    expect({ code, count: (value['purged'] as unknown[]).length, failed: value['failed'] }).toEqual({ code: 0, count: 11, failed: [] })
    expect(await listed(it.bot)).toEqual(['image-11 available'])
    expect((await runCommand(it.bot, 'image', 'purge', '--bin')).output).toContain('The recycle bin of edge-a is empty')
  })

  test('takes no image, and purge without --bin needs one', async () => {
    await using it = await setUp()
    expect((await runCommand(it.bot, 'image', 'purge', 'one', '--bin')).output).toContain('takes no image')
    expect((await runCommand(it.bot, 'image', 'purge')).output).toContain('needs an image, or --bin')
  })
})

async function runIds(bot: OpenBot): Promise<string[]> {
  const [images, bin] = await Promise.all([runJson(bot, 'image', 'list'), runJson(bot, 'image', 'bin')])
  return [images, bin].flatMap(({ value }) => (value['items'] as { id: string }[]).map(({ id }) => id))
}
