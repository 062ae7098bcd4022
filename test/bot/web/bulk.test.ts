// Several images chosen by their boxes on the page: who gets which boxes and buttons, one plan and one run for all of them, and what is refused.

import { describe, expect, test } from 'bun:test'
import { COMMANDS } from '../../../bot/commands/table.ts'
import { imageOf, page as listOf } from '../commands/scripted-fleet.ts'
import type { Script } from '../commands/scripted-fleet.ts'
import { until } from '../../support/until.ts'
import { openTestPage, serveRuns } from './fixture.ts'

const MARKUP = '<b>"disk" & more</b>'
const [ONE, TWO, GONE] = [imageOf(1), imageOf(2, { name: MARKUP }), imageOf(3, { status: 'deleted', deletedAt: '2026-01-01T00:00:00.000Z' })]
const IDS = [ONE.id, TWO.id]

function storeWith(images: readonly ReturnType<typeof imageOf>[]): Script {
  const each = images.flatMap((image) => [
    [`GET /images/${image.id}`, image],
    [`DELETE /images/${image.id}`, { ...image, status: 'deleted' }],
  ])
  return { 'GET /images': listOf(images), 'POST /unique-size': { uniqueSize: 1000 }, ...(Object.fromEntries(each) as Script) }
}

const boxesOf = (text: string): [string, string][] =>
  [...text.matchAll(/<input type="checkbox"[^>]* form="choice" name="_chosen" value="([^"]*)" aria-label="Choose ([^"]*)"/g)].map(([, id = '', name = '']) => [
    id,
    name,
  ])
const buttonsOf = (text: string): string[] => [...text.matchAll(/formaction="([^"]*)"/g)].map(([, path = '']) => path)
const fieldsOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    [...(text.split('class="typed"')[1] ?? '').matchAll(/name="([^_"][^"]*|_plan)" value="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
  )
/** The address to which the boxes of these ids in a store lead; a value with a store of its own stays as it is. */
const choose = (path: string, ids: readonly string[], store = 'edge-a'): string =>
  `${path}?_chosen=${ids.map((id) => `&_chosen=${encodeURIComponent(/^img_\w+$/.test(id) ? `${id}@${store}` : id)}`).join('')}`

describe('boxes', () => {
  test.each(['/images', '/stores/edge-a/images'])('at %s choose each image by its id, for every command that takes several', async (path) => {
    using page = openTestPage({ scripts: { 'edge-a': storeWith([ONE, TWO]) } })
    const { text } = await (await page.enterAs('operator')).get(path)
    expect(boxesOf(text)).toEqual([
      [`${TWO.id}@edge-a`, '&lt;b&gt;&quot;disk&quot; &amp; more&lt;/b&gt;'],
      [`${ONE.id}@edge-a`, 'disk-1'],
    ])
    expect(text).not.toContain('<b>"disk"')
    const several = COMMANDS.filter(({ noun, effect, targets }) => noun === 'image' && effect !== 'read' && targets[0]?.many === true)
    const offered = several.filter(({ verb }) => verb !== 'restore').map(({ verb }) => `/c/image/${verb}`)
    expect(offered).toContain('/c/image/migrate')
    expect(buttonsOf(text).toSorted()).toEqual(offered.toSorted())
    // The boxes and the buttons name one form, which is there once.
    expect(text.match(/<form id="choice" method="get"/g)).toHaveLength(1)
  })

  test.each(['viewer', 'uploader'] as const)('are not there for %s, who may run none of the commands', async (role) => {
    using page = openTestPage({ scripts: { 'edge-a': storeWith([ONE, TWO]) } })
    const visitor = await page.enterAs(role)
    const { text } = await visitor.get('/images')
    expect(text).toContain('disk-1')
    expect([boxesOf(text), buttonsOf(text), text.includes('id="choice"')]).toEqual([[], [], false])
    const { location } = await visitor.get(choose('/c/image/delete', IDS))
    const refused = await visitor.get(location ?? '')
    expect([refused.status, refused.text.includes('the role operator')]).toEqual([403, true])
  })

  test('of deleted images lead to what deleted images can have', async () => {
    using page = openTestPage({ scripts: { 'edge-a': storeWith([GONE]) } })
    const { text } = await (await page.enterAs('operator')).get('/images?status=deleted')
    expect([boxesOf(text), buttonsOf(text)]).toEqual([[[`${GONE.id}@edge-a`, 'disk-3']], ['/c/image/purge', '/c/image/restore']])
  })

  test('are as many as the rows of one page, each with an id of its own, and none on other places', async () => {
    const images = Array.from({ length: 60 }, (_, i) => imageOf(i))
    using page = openTestPage({ scripts: { 'edge-a': storeWith(images), 'edge-b': storeWith([imageOf(0)]) } })
    const visitor = await page.enter()
    const { text } = await visitor.get('/images')
    expect(boxesOf(text)).toHaveLength(50)
    expect(new Set([...text.matchAll(/ id="(choose-[^"]*)"/g)].map(([, id]) => id)).size).toBe(50)
    for (const path of ['/', '/stores', '/stores/edge-a', '/search?q=disk']) expect([path, boxesOf((await visitor.get(path)).text)]).toEqual([path, []])
  })
})

describe('chosen images', () => {
  test('get one plan with all names, and one run once the name is typed', async () => {
    using page = openTestPage({ scripts: { 'edge-a': storeWith([ONE, TWO]) } })
    const visitor = await page.enter()
    const { status, location } = await visitor.get(choose('/c/image/delete', [...IDS, ONE.id]))
    expect([status, location]).toEqual([303, `/c/image/delete/${ONE.id}/${TWO.id}?store=edge-a`])
    const { text } = await visitor.get(location ?? '')
    expect(text.match(/class="confirm"/g)).toHaveLength(1)
    for (const name of ['disk-1', '&lt;b&gt;&quot;disk&quot; &amp; more&lt;/b&gt;']) expect(text).toContain(name)
    expect(text).not.toContain('<b>"disk"')
    expect(page.asked.filter((request) => request.includes('DELETE'))).toEqual([])
    const action = /action="(\/c\/image\/delete[^"]*)" class="typed"/.exec(text)?.[1] ?? ''
    const begun = await visitor.post(action, { ...fieldsOf(text), _confirm: `disk-1, ${MARKUP}` })
    expect([begun.status, begun.text.includes('Running: Delete 2 images')]).toEqual([200, true])
    expect(page.bot.audit.list({ limit: 1 })[0]).toMatchObject({ surface: 'page', via: 'confirmation', outcome: 'done' })
    const { bulkRuns } = page.bot.context({ name: 'root', role: 'admin' }, 'console')
    await using _service = serveRuns(page)
    await until('the run has ended', () => bulkRuns.list(1)[0]?.state === 'done')
    expect(page.asked.filter((request) => request.includes('DELETE')).toSorted()).toEqual(IDS.map((id) => `edge-a DELETE /images/${id}`))
    expect(bulkRuns.list(10)).toMatchObject([{ total: 2, state: 'done' }])
    expect((await visitor.get('/c/task/show/B1')).text).toContain('Done: Delete 2 images')
  })

  test('fill in the form of a command that asks for more, with their store', async () => {
    using page = openTestPage({ scripts: { 'edge-a': storeWith([ONE, TWO]), 'edge-b': storeWith([ONE]) } })
    const visitor = await page.enter()
    for (const [verb, field] of [
      ['protect', 'store'],
      ['sync', 'from'],
      ['migrate', 'from'],
    ] as const) {
      const { location } = await visitor.get(choose(`/c/image/${verb}`, IDS))
      expect(location).toEndWith(`?${field}=edge-a`)
      const { status, text } = await visitor.get(location ?? '')
      expect([verb, status < 500, text.includes(`${ONE.id}\n${TWO.id}</textarea>`)]).toEqual([verb, true, true])
    }
    expect(page.asked.filter((request) => !/ (?:GET|HEAD) /.test(request))).toEqual([])
  })

  test('that lie in several stores get one plan as long as each has one copy, and else a plan for each store', async () => {
    const both = imageOf(5)
    using page = openTestPage({ scripts: { 'edge-a': storeWith([ONE, both]), 'edge-b': storeWith([TWO, both]) } })
    const visitor = await page.enter()
    const values = boxesOf((await visitor.get('/images')).text).map(([value]) => value)
    expect(values.toSorted()).toEqual([`${ONE.id}@edge-a`, `${TWO.id}@edge-b`, `${both.id}@edge-a!`, `${both.id}@edge-b!`].toSorted())
    const single = await visitor.get(choose('/c/image/delete', [`${ONE.id}@edge-a`, `${TWO.id}@edge-b`]))
    expect([single.status, single.location]).toEqual([303, `/c/image/delete/${ONE.id}/${TWO.id}`])
    expect((await visitor.get(single.location ?? '')).text.match(/class="confirm"/g)).toHaveLength(1)
    const one = await visitor.get(choose('/c/image/delete', [`${ONE.id}@edge-a`, `${both.id}@edge-a!`]))
    expect(one.location).toBe(`/c/image/delete/${ONE.id}/${both.id}?store=edge-a`)
    for (const [verb, field] of [
      ['delete', 'store'],
      ['migrate', 'from'],
    ] as const) {
      const { status, text } = await visitor.get(choose(`/c/image/${verb}`, values))
      expect([verb, status, text.includes('The chosen copies lie in 2 stores')]).toEqual([verb, 422, true])
      const ways = [...text.matchAll(/<a class="button" href="([^"]*)">([^<]*)</g)].map(([, href = '', label = '']) => ({
        href: href.replace(/img_.*(?=\?)/, ''),
        label,
      }))
      expect(ways.map(({ label }) => label).toSorted()).toEqual(['2 images in edge-a', '2 images in edge-b'])
      for (const { href, label } of ways) expect(href).toBe(`/c/image/${verb}/?${field}=${label.split(' in ')[1]}`)
    }
    const hrefs = [...(await visitor.get(choose('/c/image/delete', values))).text.matchAll(/<a class="button" href="([^"]*)"/g)].map(([, href = '']) => href)
    for (const href of hrefs) expect((await visitor.get(href)).text.match(/class="confirm"/g)).toHaveLength(1)
  })

  test('that are none, too many, or no ids are refused with the next step', async () => {
    using page = openTestPage({ scripts: { 'edge-a': storeWith([ONE, TWO]) } })
    const visitor = await page.enter()
    const many = Array.from({ length: 51 }, (_, i) => imageOf(i).id)
    for (const [ids, words] of [
      [[], 'Nothing was chosen'],
      [many, '51 images were chosen; at most 50 can be'],
      [['all'], 'not the id of an image'],
      [[ONE.id, '../../store/delete/edge-a'], 'not the id of an image'],
    ] as const) {
      for (const command of ['/c/image/delete', '/c/image/purge', '/c/image/protect']) {
        const { status, text } = await visitor.get(choose(command, ids))
        expect([command, words, status, text.includes(words), text.includes('Go back')]).toEqual([command, words, 422, true, true])
      }
    }
    expect(page.asked.filter((request) => request.includes('/images'))).toEqual([])
    const whole = await visitor.get(choose('/c/image/delete', many.slice(0, 50)))
    expect([whole.status, whole.location?.split('/').length]).toEqual([303, 54])
  })

  test('that no store has are refused by the command', async () => {
    using page = openTestPage({ scripts: { 'edge-a': storeWith([ONE]) } })
    const visitor = await page.enter()
    const { location } = await visitor.get(choose('/c/image/delete', [ONE.id, imageOf(9).id]))
    const { status, text } = await visitor.get(location ?? '')
    expect([status, text.includes('has no image'), text.includes('class="confirm"')]).toEqual([404, true, false])
  })
})
