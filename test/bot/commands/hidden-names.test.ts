// People below operator see no name, file name or id of an image that is hidden from them, in any answer of any command that they may run. The token
// of the bot sees every image, so the commands have to leave them out.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../../bot/system/clock.ts'
import { parseWords } from '../../../bot/commands/parse.ts'
import { runParsed } from '../../../bot/commands/run.ts'
import { COMMANDS } from '../../../bot/commands/table.ts'
import type { OpenBot } from '../../../bot/open.ts'
import type { View } from '../../../protocol/views/view.ts'
import { roleIncludes } from '../../../protocol/access.ts'
import type { Role } from '../../../protocol/access.ts'
import type { Image } from '../../../protocol/images/image.ts'
import type { Task } from '../../../protocol/task.ts'
import { openAccessStage } from '../../agent/http/access/access-stage.ts'
import type { AccessStage } from '../../agent/http/access/access-stage.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot } from '../fixture.ts'

// Inspections and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ABSENT = 'img_0123456789abcdefghjkmnpqrs'

let stack: AsyncDisposableStack
let stage: AccessStage
let bot: OpenBot
/** Words that no answer below operator may have: names, file names, and ids of images, uploads, exports and tasks of hidden images. */
const secrets: string[] = []
/** Words that stand for something hidden in a command. */
const targets = new Map<string, string>()

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  stage = stack.use(await openAccessStage())
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => stage.table.app.fetch(request) })
  stack.defer(() => server.stop(true))
  bot = stack.use(openTestBot(folder.path))
  const { token } = await stage.table.parts.access.tokens.create({ name: 'the bot', role: 'admin' }, { name: 'test', role: 'admin' })
  const storeId = ((await stage.admin.ask('GET', '/v1/store')).json as { id: string }).id
  bot.fleet.registry.add({ name: 'edge-a', url: `http://127.0.0.1:${server.port}`, token, zone: 'zone-1', provider: 'local', storeId }, systemClock.nowMs())
  await makeImages()
}, 60_000)

afterAll(() => stack.disposeAsync())

/** Adds open and hidden images: granted, of a hidden group, in the recycle bin, exported, and still uploaded. */
async function makeImages(): Promise<void> {
  const { admin } = stage
  const { catalogue, tasks } = stage.table.parts
  await admin.ask('POST', '/v1/media-groups', { name: 'backroom', visible: false })
  const open = await stage.upload(admin, 'open-image', { seed: 1 })
  const granted = await stage.upload(admin, 'classified-granted', { seed: 2, metadata: { filename: 'classified-file.raw' } })
  const grouped = await stage.upload(admin, 'classified-grouped', { seed: 3, metadata: { mediaGroup: 'backroom' } })
  const deleted = await stage.upload(admin, 'classified-deleted', { seed: 4, metadata: { mediaGroup: 'backroom' } })
  await admin.ask('PUT', `/v1/images/${granted.id}/grants/user:ann`)
  await admin.ask('DELETE', `/v1/images/${deleted.id}`)
  const exportIds: string[] = []
  for (const { id } of [open, granted, grouped]) {
    const task = (await admin.ask('POST', `/v1/images/${id}/exports`, {})).json as Task
    await tasks.ended(task.id)
    const { items } = (await admin.ask('GET', `/v1/exports?image=${id}`)).json as { items: { id: string }[] }
    exportIds.push(items[0]?.id ?? 'no export')
  }
  for (const [name, more] of [
    ['open-upload', ''],
    ['classified-upload', `,mediaGroup ${btoa('backroom')},filename ${btoa('classified-upload.raw')}`],
  ] as const) {
    const headers = { 'tus-resumable': '1.0.0', 'upload-length': '1000', 'upload-metadata': `name ${btoa(name)}${more}` }
    const created = await admin.ask('POST', '/v1/uploads', undefined, headers)
    const id = created.headers.get('location')?.split('/').at(-1) ?? ''
    const { imageId } = (await admin.ask('GET', `/v1/uploads/${id}`, undefined, { accept: 'application/json' })).json as { imageId: string }
    if (name === 'classified-upload') secrets.push(id, imageId)
  }
  // A part of a concatenation becomes no image of its own.
  const part = { 'tus-resumable': '1.0.0', 'upload-length': '5', 'upload-concat': 'partial', 'upload-metadata': `filename ${btoa('classified-part.raw')}` }
  secrets.push((await admin.ask('POST', '/v1/uploads', undefined, part)).headers.get('location')?.split('/').at(-1) ?? '')
  await admin.ask('POST', '/v1/links', { kind: 'upload', name: 'classified-by-link', draft: { mediaGroup: 'backroom' }, ttlSeconds: 3600 })
  for (const name of ['inbox', 'quarantine']) {
    await mkdir(join(stage.table.mount, name), { recursive: true })
    await writeFile(join(stage.table.mount, name, 'classified-in-folder.raw'), 'x')
  }
  await catalogue.settled()
  secrets.push('classified', granted.id, grouped.id, deleted.id, exportIds[1] ?? '', exportIds[2] ?? '')
  expect(secrets.every((text) => text.length > 5)).toBe(true)
  targets
    .set('I', granted.id)
    .set('deleted', deleted.id)
    .set('E', exportIds[1] ?? '')
    .set('U', secrets[0] ?? '')
}

async function run(role: Role, ...words: readonly string[]): Promise<View> {
  const parsed = parseWords(
    COMMANDS,
    words.map((text) => ({ text, literal: false })),
  )
  return runParsed(bot.context({ name: 'somebody', role }, 'slack'), parsed)
}

/** Commands that people below operator may run, each with words that name everything it can show. Written by hand: a new command needs a line. */
const LINES: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'store list': [[]],
  'store show': [['edge-a']],
  'store health': [['edge-a'], ['all']],
  'store browse': [['edge-a'], ['edge-a', 'images'], ['edge-a', 'exports'], ['edge-a', './exports'], ['edge-a', 'inbox'], ['edge-a', 'quarantine']],
  'image list': [[], ['store=edge-a', 'status=available'], ['group=backroom'], ['status=uploading']],
  'image show': [['open-image'], ['open-upload']],
  'image bin': [[]],
  'image upload': [['store=edge-a', 'name=new']],
  'image add': [['store=edge-a', 'name=new', 'url=http://127.0.0.1:1/x', '--dry-run']],
  'image link': [['open-image']],
  'image exports': [[]],
  'event list': [[], ['store=edge-a', 'type=image'], ['image=open-image']],
  'export list': [[], ['store=edge-a'], ['image=open-image']],
  'export link': [['open-image']],
  'task list': [[]],
  'task show': [],
  'upload list': [[], ['store=edge-a']],
  'upload show': [['open-upload']],
  'schedule list': [['edge-a']],
  'policy list': [[]],
  'zone list': [[]],
  'zone show': [['zone-1']],
  'store types': [[]],
  'role list': [[]],
  'role claim': [['AAAA-AAAA-AAAA']],
  'slack manifest': [[]],
  'alert list': [[], ['--resolved']],
  'alert show': [],
  'alert silences': [[]],
  'alert subscriptions': [[]],
  'link list': [[], ['store=edge-a']],
  'link revoke': [],
  web: [[]],
  'web list': [[]],
  'web revoke': [],
  help: [[]],
}

/** Commands that name one thing: the same refusal for a hidden one and for one that does not exist. */
const LOOKUPS: readonly (readonly [string, string, string])[] = [
  ['image show', 'classified-granted', 'nothing-granted'],
  ['image show', 'I', ABSENT],
  ['image show', 'deleted', ABSENT],
  ['image link', 'classified-granted', 'nothing-granted'],
  ['export link', 'classified-granted', 'nothing-granted'],
  ['export link', 'E', 'exp_0123456789abcdefghjkmnpqrs'],
  ['upload show', 'classified-upload', 'nothing-upload'],
  ['link revoke', 'classified-by-link', 'nothing-by-link'],
  ['upload show', 'U', 'upl_0123456789abcdefghjkmnpqrs'],
]

describe('below operator', () => {
  test('every command has a line here', () => {
    const allowed = COMMANDS.filter(({ role }) => roleIncludes('uploader', role)).map(({ noun, verb }) => `${noun} ${verb}`.trim())
    expect(Object.keys(LINES).toSorted()).toEqual(allowed.toSorted())
  })

  test.each(Object.entries(LINES))('%s names nothing that is hidden', async (command, lines) => {
    for (const role of ['viewer', 'uploader'] as const)
      for (const words of lines) {
        const text = JSON.stringify(await run(role, ...command.split(' '), ...words))
        for (const secret of secrets) expect([command, words, secret, text.includes(secret)]).toEqual([command, words, secret, false])
      }
  })

  test.each(LOOKUPS)('%s refuses %s like something that does not exist', async (command, hidden, absent) => {
    const named = targets.get(hidden) ?? hidden
    const ask = async (word: string): Promise<string> => {
      const { asOfMs: _asOf, json: _json, ...view } = await run('uploader', ...command.split(' '), word)
      return JSON.stringify(view).replaceAll(word, 'WORD')
    }
    expect(await ask(named)).toBe(await ask(absent))
  })

  test('store browse refuses the folder of a hidden image like one that does not exist', async () => {
    const ask = async (id: string): Promise<string> =>
      JSON.stringify((await run('viewer', 'store', 'browse', 'edge-a', `images/${id}`)).text).replaceAll(id, 'ID')
    expect(await ask(targets.get('I') ?? '')).toBe(await ask(ABSENT))
    const { id } = (await stage.admin.ask('GET', '/v1/images/open-image')).json as Image
    expect(JSON.stringify(await run('viewer', 'store', 'browse', 'edge-a', `images/${id}`))).toContain('manifest')
  })
})

describe('what is not hidden', () => {
  test('is shown: the open image, its export, and its upload', async () => {
    for (const [words, name] of [
      [['image', 'list'], 'open-image'],
      [['export', 'list'], 'open-image'],
      [['export', 'link', 'open-image'], 'open-image'],
      [['upload', 'list'], 'open-upload'],
      [['upload', 'show', 'open-upload'], 'open-upload'],
    ] as const)
      expect([words, JSON.stringify(await run('uploader', ...words)).includes(name)]).toEqual([words, true])
  })

  test('and operators see everything', async () => {
    for (const [words, names] of [
      [
        ['image', 'list'],
        ['classified-granted', 'classified-grouped'],
      ],
      [['image', 'bin'], ['classified-deleted']],
      [
        ['export', 'list'],
        ['classified-granted', 'classified-grouped'],
      ],
      [
        ['upload', 'list'],
        ['classified-upload', 'open-upload'],
      ],
      [
        ['event', 'list', 'limit=1000'],
        ['classified-granted', 'classified-grouped'],
      ],
      [['store', 'browse', 'edge-a', 'inbox'], ['classified-in-folder.raw']],
      [['store', 'browse', 'edge-a', 'images'], [targets.get('I') ?? '']],
    ] as const) {
      const text = JSON.stringify(await run('operator', ...words))
      for (const name of names) expect([words, name, text.includes(name)]).toEqual([words, name, true])
    }
  })
})
