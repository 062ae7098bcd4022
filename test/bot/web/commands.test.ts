// Commands on the page: every command of the table for every role, forms, confirmations, second sends, and markup in names.

import { describe, expect, test } from 'bun:test'
import { COMMANDS } from '../../../bot/commands/table.ts'
import { defineCommand } from '../../../bot/commands/command.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { ROLES } from '../../../protocol/access.ts'
import { imageOf, page as listOf } from '../commands/scripted-fleet.ts'
import { LINES } from '../commands/grammar/lines.ts'
import { openTestPage } from './fixture.ts'

/** What a role may run at most, by hand; test/bot/commands/roles.test.ts has the role of each command. */
const RANKS: Readonly<Record<string, readonly string[]>> = {
  viewer: ['viewer'],
  uploader: ['viewer', 'uploader'],
  operator: ['viewer', 'uploader', 'operator'],
  admin: ['viewer', 'uploader', 'operator', 'admin'],
}

describe('every command', () => {
  test.each([...ROLES])('is listed and answers for %s as its role says, and changes nothing by being looked at', async (role) => {
    using page = openTestPage({ scripts: { 'edge-a': {}, 'edge-b': {} } })
    const visitor = await page.enterAs(role)
    const index = (await visitor.get('/c')).text
    const wrong: string[] = []
    for (const { noun, verb, role: needs } of COMMANDS) {
      const path = ['/c', noun, verb].filter((part) => part !== '').join('/')
      const isAllowed = RANKS[role]?.includes(needs) ?? false
      if (index.includes(`href="${path}"`) !== isAllowed) wrong.push(`${path} is${isAllowed ? ' not' : ''} listed for ${role}`)
      const { status, text } = await visitor.get(path)
      if (isAllowed ? status >= 500 && status !== 502 : status !== 403 || !text.includes(`needs the role ${needs}`))
        wrong.push(`${path} answers ${role} with ${status}`)
    }
    expect(wrong).toEqual([])
    expect(page.asked.filter((request) => !/ (?:GET|HEAD) /.test(request))).toEqual([])
  })

  test.each([...ROLES])('that is sent by %s is refused without its role', async (role) => {
    using page = openTestPage({ scripts: { 'edge-a': {}, 'edge-b': {} } })
    const visitor = await page.enterAs(role)
    const wrong: string[] = []
    for (const { noun, verb, role: needs, effect } of COMMANDS) {
      if ((RANKS[role]?.includes(needs) ?? false) || effect === 'read') continue
      const [line = ''] = LINES[`${noun} ${verb}`.trim()] ?? []
      const words = line.split(' ').slice(verb === '' ? 1 : 2)
      const targets = words.filter((word) => !word.includes('=') && !word.startsWith('--'))
      const fields = Object.fromEntries(words.filter((word) => /^[a-z-]+=/.test(word)).map((word) => word.split('=') as [string, string]))
      const given = targets.length > 0 ? targets : ['x']
      const { status } = await visitor.post(['/c', noun, verb, ...given.map(encodeURIComponent)].join('/'), fields)
      // A command without targets does not understand the x; whoever may not run it does not learn that.
      if (status !== 403) wrong.push(`${noun} ${verb}: ${status}`)
    }
    expect(wrong).toEqual([])
    expect(page.asked).toEqual([])
  })

  test('that is new is on the page without a line written for it', async () => {
    const greet = defineCommand({
      noun: 'greeting',
      verb: 'send',
      summary: 'Greets somebody',
      role: 'operator',
      effect: 'write',
      targets: [{ name: 'WHO', about: 'whom to greet', subject: 'text' }],
      options: { words: { about: 'what to say', value: 'hello' }, zone: { about: 'where', value: 'Z', subject: 'zone' } },
      flags: { loud: 'says it loudly' },
      run: ({ clock }, { targets, options, flags }) =>
        Promise.resolve(makeView({ title: `Said ${options.words} to ${targets[0]}${flags.has('loud') ? ' loudly' : ''}`, asOfMs: clock.nowMs(), json: {} })),
    })
    using page = openTestPage({ more: [greet] })
    const visitor = await page.enterAs('operator')
    expect((await visitor.get('/c')).text).toContain('<a href="/c/greeting/send">greeting send</a>: Greets somebody')
    const form = (await visitor.get('/c/greeting/send/ann')).text
    for (const part of ['name="WHO"', 'value="ann"', 'name="words"', 'What to say. Such as hello.', 'list="names-zone"', 'name="--loud"'])
      expect(form).toContain(part)
    const said = await visitor.post('/c/greeting/send', { WHO: 'ann', words: 'good day', '--loud': 'true' })
    expect([said.status, said.text.includes('Said good day to ann loudly')]).toEqual([200, true])
    expect(page.bot.audit.list({ limit: 1 })[0]).toMatchObject({
      surface: 'page',
      via: 'form',
      command: 'greeting send ann words="good day" --loud',
      outcome: 'done',
    })
  })
})

describe('a form', () => {
  test('keeps what was filled in and explains what is wrong beside the field, and never repeats a secret', async () => {
    using page = openTestPage({ scripts: { 'edge-a': {} } })
    const visitor = await page.enter()
    const { status, text } = await visitor.post('/c/store/edit/edge-a', { reconnect: 'often', description: 'north "rack"', token: 'hush-hush' })
    expect(status).toBe(400)
    expect(text).toMatch(/<p class="error" id="field-reconnect-error">reconnect=often/)
    expect(text).toContain('value="often"')
    expect(text).toContain('value="north &quot;rack&quot;"')
    expect(text).not.toContain('hush-hush')
    expect((await visitor.get('/audit')).text).not.toContain('hush-hush')
  })

  test('that is sent twice runs once', async () => {
    using page = openTestPage()
    const visitor = await page.enter()
    expect((await visitor.post('/c/zone/add/zone-1', { _once: 'a' })).status).toBe(200)
    const again = await visitor.post('/c/zone/add/zone-2', { _once: 'a' })
    expect([again.status, again.text.includes('Nothing was done a second time')]).toEqual([409, true])
    expect((await page.enter().then((other) => other.post('/c/zone/add/zone-2', { _once: 'a' }))).status).toBe(200)
  })

  test('with an unknown field is refused with the nearest name', async () => {
    using page = openTestPage({ scripts: { 'edge-a': {} } })
    const visitor = await page.enter()
    expect((await visitor.get('/c/image/list?stor=edge-a')).text).toContain('image list has no option stor=')
  })
})

describe('a deletion', () => {
  const image = imageOf(1, { name: '<b>"disk" & more</b>' })
  const scripts = {
    'edge-a': { 'GET /images': listOf([image]), [`GET /images/${image.id}`]: image, [`DELETE /images/${image.id}`]: { ...image, status: 'deleted' } },
  }

  test('shows its plan, refuses another name beside the field, and runs with the name', async () => {
    using page = openTestPage({ scripts })
    const visitor = await page.enter()
    const plan = (await visitor.get(`/c/image/delete/${image.id}`)).text
    expect(plan).toContain('&lt;b&gt;&quot;disk&quot; &amp; more&lt;/b&gt;')
    expect(plan).not.toContain('<b>"disk"')
    const action = /action="(\/c\/image\/delete[^"]*)" class="typed"/.exec(plan)?.[1] ?? ''
    const hidden = Object.fromEntries(
      [...(plan.split('class="typed"')[1] ?? '').matchAll(/name="([^_"][^"]*|_plan)" value="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
    )
    expect(hidden['_plan']).toMatch(/^[0-9a-f]{32}$/)
    const wrong = await visitor.post(action, { ...hidden, _confirm: 'disk' })
    expect([wrong.status, /id="confirm-error">[^<]*is not the name/.test(wrong.text)]).toEqual([422, true])
    expect(page.asked.some((request) => request.includes('DELETE'))).toBe(false)
    const done = await visitor.post(action, { ...hidden, _confirm: image.name })
    expect(done.status).toBe(200)
    expect(page.asked).toContain(`edge-a DELETE /images/${image.id}`)
    expect(page.bot.audit.list({ limit: 1 })[0]).toMatchObject({ surface: 'page', via: 'confirmation', outcome: 'done' })
  })
})

describe('places', () => {
  test('show what their commands answer, filtered and sorted by the address, with links between them', async () => {
    const images = Array.from({ length: 60 }, (_, i) => imageOf(i, { name: `disk-${i}`, length: i * 1_000_000_000 }))
    using page = openTestPage({ scripts: { 'edge-a': { 'GET /images': listOf(images) }, 'edge-b': { 'GET /images': listOf([]) } } })
    const visitor = await page.enterAs('viewer')
    for (const path of [
      '/',
      '/stores',
      '/images',
      '/tasks',
      '/uploads',
      '/alerts',
      '/audit',
      '/help',
      '/search?q=disk-59',
      '/stores/edge-a',
      '/stores/edge-a/images',
      '/images/disk-1',
      '/images/disk-1/exports',
      '/images/disk-1/history',
    ])
      expect([path, (await visitor.get(path)).status]).toEqual([path, 200])
    expect((await visitor.get('/stores')).text).toContain('<a href="/stores/edge-a">edge-a</a>')
    const columns = async (path: string) => [...(await visitor.get(path)).text.matchAll(/scope="col"[^>]*><a[^>]*>([^<]*)/g)].map(([, label]) => label)
    expect(await columns('/stores')).toEqual(['Name', 'State', 'Provider', 'Protocol', 'URL', 'Zone', 'Scope', 'Used', 'Saved'])
    expect(await columns('/stores?columns=&zone=zone-1')).toHaveLength(9)
    expect(await columns('/stores?columns=kinds')).toEqual(['Name', 'Kinds'])
    const names = async (path: string) => [...(await visitor.get(path)).text.matchAll(/data-label="Name"[^>]*>.*?(disk-\d+)</g)].map(([, name]) => name)
    expect(await names('/images?_sort=length&_order=down')).toHaveLength(50)
    expect((await names('/images?_sort=length&_order=down')).slice(0, 2)).toEqual(['disk-59', 'disk-58'])
    expect(await names('/images?_find=disk-7+edge')).toEqual(['disk-7'])
    expect(await names('/images?_page=2')).toHaveLength(10)
    expect(await names('/search?q=disk-59')).toEqual(['disk-59'])
    expect((await visitor.get('/nowhere')).status).toBe(404)
    expect((await visitor.get('/stores/edge-a/nowhere')).status).toBe(404)
    expect((await visitor.get('/stores/%3Cscript%3E')).text).not.toContain('<script>')
    expect(page.logged.filter((line) => line.includes('failed'))).toEqual([])
  })

  test('each answer explains its words beside it, as help does', async () => {
    using page = openTestPage({ scripts: { 'edge-a': {} } })
    const visitor = await page.enterAs('viewer')
    const { text } = await visitor.get('/stores')
    const panel = /<details class="help">(.*?)<\/details>/.exec(text)?.[1] ?? ''
    expect(panel).toContain(
      '<dt>Used</dt><dd>Bytes of the file system of the mount path that are in use, by this store or by others, and their part of the whole. Unit: bytes. Normal: Under 90 %. What to do: See help health free-space.</dd>',
    )
    expect([...panel.matchAll(/<dt>([^<]*)/g)].map(([, label]) => label)).toEqual([
      'Name',
      'State',
      'Provider',
      'Protocol',
      'URL',
      'Zone',
      'Scope',
      'Used',
      'Saved',
    ])
    expect((await visitor.get('/help')).text).toContain('What these words mean')
    expect((await visitor.get('/c/slack/manifest')).text).not.toContain('What these words mean')
  })

  test('a look with fields for targets moves to an address that can be shared', async () => {
    using page = openTestPage({ scripts: { 'edge-a': {} } })
    const visitor = await page.enter()
    const { status, location } = await visitor.get('/c/store/health?S=edge-a')
    expect([status, location]).toEqual([303, '/c/store/health/edge-a'])
  })
})
