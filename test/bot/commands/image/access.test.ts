// Commands about access: grants, bindings, links and tokens, with a whole agent behind them.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { systemClock } from '../../../../bot/system/clock.ts'
import { parseWords } from '../../../../bot/commands/parse.ts'
import { runParsed } from '../../../../bot/commands/run.ts'
import { COMMANDS } from '../../../../bot/commands/table.ts'
import type { OpenBot } from '../../../../bot/open.ts'
import type { Role } from '../../../../protocol/access.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { openAccessStage } from '../../../agent/http/access/access-stage.ts'
import type { AccessStage } from '../../../agent/http/access/access-stage.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../../fixture.ts'

// Connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

let stack: AsyncDisposableStack
let stage: AccessStage
let bot: OpenBot
let url: string

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  stage = stack.use(await openAccessStage())
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => stage.table.app.fetch(request) })
  stack.defer(() => server.stop(true))
  url = `http://127.0.0.1:${server.port}`
  bot = stack.use(openTestBot(folder.path))
  const { token } = await stage.table.parts.access.tokens.create({ name: 'the bot', role: 'admin' }, { name: 'test', role: 'admin' })
  const storeId = ((await stage.admin.ask('GET', '/v1/store')).json as { id: string }).id
  bot.fleet.registry.add({ name: 'edge-a', url, token, zone: 'zone-1', provider: 'local', storeId }, systemClock.nowMs())
}, 60_000)

afterAll(() => stack.disposeAsync())

const shown = async (name: string): Promise<Image> => (await stage.admin.ask('GET', `/v1/images/${name}`)).json as Image

/** Value of a field in an output. Throws with the output when it has no such field. */
function field(output: string, label: string): string {
  const value = new RegExp(`^  ${label} {2,}(.*)$`, 'm').exec(output)?.[1]
  if (value === undefined) throw new Error(`no field "${label}" in:\n${output}`)
  return value
}

describe('image grant and image revoke', () => {
  test('change who sees an image, and say so', async () => {
    await stage.upload(stage.admin, 'granted', { seed: 1 })
    const first = await runCommand(bot, 'image', 'grant', 'granted', 'user=ann')
    expect(first.output).toContain('Image granted granted to user:ann')
    expect(first.output).toContain('Now only its owner, those named, and operators can.')
    expect(field(first.output, 'Access')).toBe('user:ann (read, use)')
    const second = await runCommand(bot, 'image', 'grant', 'granted', 'group=web', 'rights=manage,export', 'store=edge-a')
    expect(second.output).not.toContain('Until now')
    expect((await shown('granted')).grants).toEqual([
      { subject: 'group:web', rights: ['read', 'export', 'manage'] },
      { subject: 'user:ann', rights: ['read', 'use'] },
    ])
    expect((await runCommand(bot, 'image', 'revoke', 'granted', 'group=web')).output).not.toContain('every viewer can see it')
    const last = await runCommand(bot, 'image', 'revoke', 'granted', 'user=ann')
    expect(last.output).toContain('It has no grants any more: every viewer can see it.')
    expect(field(last.output, 'Access')).toBe('every viewer')
    expect((await shown('granted')).grants).toEqual([])
  })

  test.each([
    ['image grant granted', 'Name one user or one group.'],
    ['image grant granted user=a group=b', 'Name one user or one group.'],
    ['image grant granted user=a rights=raed', 'There is no right "raed"; did you mean read?'],
    ['image grant granted user=a rights=', 'There is no right ""; known are read, use, export, manage.'],
    ['image grant nothing user=a', 'edge-a has no image "nothing".'],
    ['image revoke granted user=nobody', 'Image granted is not granted to user:nobody.'],
  ])('%s is refused: %s', async (line, sentence) => {
    const { code, output } = await runCommand(bot, ...line.split(' '))
    expect(output).toContain(sentence)
    expect(code).toBe(1)
  })
})

describe('an image with grants', () => {
  test('is shown to operators of the bot only, since its tokens see every image', async () => {
    await stage.upload(stage.admin, 'restricted', { seed: 5 })
    await stage.admin.ask('PUT', '/v1/images/restricted/grants/user:ann')
    const run = async (role: Role, ...words: string[]): Promise<unknown> => {
      const parsed = parseWords(
        COMMANDS,
        words.map((text) => ({ text, literal: false })),
      )
      return (await runParsed(bot.context({ name: 'somebody', role }, 'slack'), parsed)).json
    }
    for (const [role, isShown] of [
      ['viewer', false],
      ['operator', true],
    ] as const) {
      expect(JSON.stringify(await run(role, 'image', 'list')).includes('restricted')).toBe(isShown)
      expect(JSON.stringify(await run(role, 'image', 'list')).includes('granted')).toBe(true)
      expect(await run(role, 'image', 'show', 'restricted')).toMatchObject(isShown ? { name: 'restricted' } : { error: { title: 'Not found' } })
    }
    await runCommand(bot, 'image', 'delete', 'restricted', '--confirm', 'restricted')
    expect(JSON.stringify(await run('viewer', 'image', 'bin'))).not.toContain('restricted')
    expect(JSON.stringify(await run('operator', 'image', 'bin'))).toContain('restricted')
  })
})

describe('image bind and image unbind', () => {
  test('note which instances use an image', async () => {
    await stage.upload(stage.admin, 'bound', { seed: 2 })
    expect(field((await runCommand(bot, 'image', 'bind', 'bound', 'instance=vm-1')).output, 'In use by')).toBe('vm-1')
    expect((await runCommand(bot, 'image', 'delete', 'bound', '--confirm', 'bound')).code).toBe(1)
    const wrong = await runCommand(bot, 'image', 'unbind', 'bound', 'instance=vm-2')
    expect(wrong).toMatchObject({ code: 1, output: expect.stringContaining('Image bound is not bound to vm-2.') })
    expect(field((await runCommand(bot, 'image', 'unbind', 'bound', 'instance=vm-1')).output, 'In use by')).toBe('nothing')
    for (const verb of ['bind', 'unbind']) expect((await runCommand(bot, 'image', verb, 'bound')).output).toContain('Name the instance.')
  })

  test('ask for the name before a virtual disk goes with its last instance', async () => {
    const { id } = await stage.upload(stage.admin, 'disk', { seed: 3, metadata: { kind: 'virtualDisk', sourceInstance: 'vm-1' } })
    await runCommand(bot, 'image', 'bind', id, 'instance=vm-2')
    expect((await runCommand(bot, 'image', 'unbind', id, 'instance=vm-2')).code).toBe(0)
    const asked = await runJson(bot, 'image', 'unbind', id, 'instance=vm-1')
    expect(asked).toMatchObject({ code: 1, value: { confirm: 'disk', blocked: false } })
    expect((await shown(id)).bindings).toEqual(['vm-1'])
    const done = await runCommand(bot, 'image', 'unbind', id, 'instance=vm-1', '--confirm', 'disk')
    expect(done).toMatchObject({ code: 0, output: expect.stringContaining('was deleted with it') })
    expect((await shown(id)).status).toBe('deleted')
  })
})

describe('image link', () => {
  test('returns a link that opens the content without a token', async () => {
    const image = await stage.upload(stage.admin, 'linked', { seed: 4 })
    const { code, value } = await runJson(bot, 'image', 'link', 'linked', 'for=2h')
    expect(code).toBe(0)
    expect(value).toMatchObject({ store: 'edge-a', image: image.id, kind: 'download', curl: `curl -fSsOJ '${value['url'] as string}'` })
    expect(Date.parse(value['expiresAt'] as string) - Date.now()).toBeGreaterThan(7_000_000)
    const answer = await fetch(value['url'] as string)
    expect([answer.status, (await answer.arrayBuffer()).byteLength]).toEqual([200, image.length])
    expect((await runCommand(bot, 'image', 'link', 'linked', 'for=8d')).output).toContain('for=8d is not a duration of up to 7d.')
    // The audit log has the command and not the link.
    expect((await runCommand(bot, 'audit', 'list')).output).not.toContain('link=')
  })
})

describe('token', () => {
  const statusOf = async (secret: string): Promise<number> => (await fetch(`${url}/v1/images`, { headers: { authorization: `Bearer ${secret}` } })).status

  test('create, list, rotate and revoke: a secret is shown once, and ends at once', async () => {
    const made = await runJson(bot, 'token', 'create', 'name=laptop of ann', 'role=viewer', 'user=ann', 'groups=web, ops', 'for=30d', 'store=edge-a')
    expect(made).toMatchObject({ code: 0, value: { store: 'edge-a', name: 'laptop of ann', role: 'viewer', subject: 'ann', groups: ['ops', 'web'] } })
    const secret = made.value['token'] as string
    expect(await statusOf(secret)).toBe(200)

    const listed = await runCommand(bot, 'token', 'list')
    expect(listed.output).toContain('laptop of ann')
    expect(listed.output).not.toContain(secret)
    const items = (await runJson(bot, 'token', 'list', 'store=edge-a')).value['items'] as { name: string; lastUsedAt: string | null }[]
    expect(items.find(({ name }) => name === 'laptop of ann')?.lastUsedAt).not.toBeNull()

    const rotated = await runCommand(bot, 'token', 'rotate', 'laptop of ann')
    const next = field(rotated.output, 'Secret')
    expect([await statusOf(secret), await statusOf(next)]).toEqual([401, 200])
    expect(field(rotated.output, 'User')).toBe('ann')
    expect(rotated.output).toContain('store edit edge-a token=SECRET')

    expect((await runCommand(bot, 'token', 'revoke', made.value['id'] as string)).output).toContain('Token laptop of ann revoked')
    expect(await statusOf(next)).toBe(401)
    expect((await runCommand(bot, 'token', 'list')).output).not.toContain('laptop of ann')
    const audit = (await runCommand(bot, 'audit', 'list')).output
    expect([audit.includes('token rotate'), audit.includes(secret), audit.includes(next)]).toEqual([true, false, false])
  })

  test.each([
    ['token create role=viewer', 'The token needs name=.'],
    ['token create name=x', 'The token needs role=.'],
    ['token create name=x role=root', 'role=root is not valid'],
    ['token create name=x role=viewer for=soon', 'for=soon is not a duration.'],
    ['token create name=x role=viewer for=5s', 'for=5s is not a duration from 1m to 3650d.'],
    ['token create name=x role=viewer groups=a,,b', 'groups=a,,b has an empty part.'],
    ['token revoke nothing', 'No token "nothing".'],
    ['token rotate nothing store=edge-a', 'No token "nothing".'],
  ])('%s is refused: %s', async (line, sentence) => {
    const { code, output } = await runCommand(bot, ...line.split(' '))
    expect(output).toContain(sentence)
    expect(code).toBe(1)
  })

  test('with a name that two tokens have is not chosen by chance', async () => {
    for (let i = 0; i < 2; i++) await runCommand(bot, 'token', 'create', 'name=twin', 'role=viewer')
    const { code, output } = await runCommand(bot, 'token', 'revoke', 'twin')
    expect([code, output.includes('2 tokens match "twin"')]).toEqual([1, true])
  })
})

describe('media-group', () => {
  test('add, list, edit and delete change a group and say so', async () => {
    const { id } = await stage.upload(stage.admin, 'of-a-group', { seed: 40, metadata: { mediaGroup: 'lab' } })
    const added = await runCommand(bot, 'media-group', 'add', 'name=internal', 'visible=false', 'description=not for customers')
    expect(added.output).toContain('Media group internal added')
    expect(field(added.output, 'Visible')).toBe('hidden: only owners, operators and users with a grant see its images')
    const { value } = await runJson(bot, 'media-group', 'list')
    expect(value).toMatchObject({
      items: [
        { store: 'edge-a', name: 'internal', description: 'not for customers', visible: false, images: 0 },
        { store: 'edge-a', name: 'lab', description: '', visible: true, images: 1 },
      ],
    })
    await runCommand(bot, 'media-group', 'edit', 'lab', 'visible=false', 'name=backroom')
    const image = await runCommand(bot, 'image', 'show', id)
    expect(field(image.output, 'Media group')).toBe('backroom (hidden)')
    expect(field(image.output, 'Access')).toBe('only its owner and operators, because its media group is hidden')
    const refused = await runCommand(bot, 'media-group', 'delete', 'backroom', '--confirm', 'backroom')
    expect(refused.output).toContain('Empty: 1 image in it; move each with image edit I mediaGroup=OTHER.')
    expect((await runCommand(bot, 'media-group', 'delete', 'internal')).output).toContain('To confirm, type the name: --confirm "internal".')
    expect((await runCommand(bot, 'media-group', 'delete', 'internal', '--confirm', 'internal')).output).toContain('Media group internal deleted')
    await runCommand(bot, 'image', 'edit', id, 'mediaGroup=')
    expect((await stage.admin.ask('GET', '/v1/media-groups')).json).toMatchObject({ items: [{ name: 'backroom', images: 0 }] })
  })

  test.each([
    ['media-group add', 'The group needs a name.'],
    ['media-group add name=x visible=maybe', 'visible=maybe is not valid.'],
    ['media-group edit backroom', 'Nothing would change.'],
    ['media-group edit nothing visible=true', 'There is no media group "nothing".'],
    ['media-group delete nothing', 'edge-a has no media group nothing.'],
  ])('%s is refused', async (line, why) => {
    expect((await runCommand(bot, ...line.split(' '))).output).toContain(why)
  })

  test('hides its images from people below operator, also with the tokens of the bot', async () => {
    const { id } = await stage.upload(stage.admin, 'not-for-viewers', { seed: 41, metadata: { mediaGroup: 'secret' } })
    await stage.admin.ask('PATCH', '/v1/media-groups/secret', { visible: false })
    for (const [role, isSeen] of [
      ['viewer', false],
      ['uploader', false],
      ['operator', true],
    ] as [Role, boolean][]) {
      const parsed = parseWords(
        COMMANDS,
        ['image', 'list'].map((text) => ({ text, literal: false })),
      )
      const { json } = await runParsed(bot.context({ name: 'somebody', role }, 'slack'), parsed)
      expect([role, JSON.stringify(json).includes(id)]).toEqual([role, isSeen])
    }
  })
})
