// `image upload` without a file, `link list` and `link revoke`.

import { describe, expect, test } from 'bun:test'
import type { UploadLink } from '../../../../protocol/upload-link.ts'
import { openScriptedFleet, page, refuse } from '../scripted-fleet.ts'
import type { Asked, Script } from '../scripted-fleet.ts'

const EXPIRES = '2027-01-01T00:00:00.000Z'

function linkOf(number: number, members: Partial<UploadLink> = {}): UploadLink {
  return {
    ...{ id: `lnk_${String(number).padStart(26, '0')}`, state: 'open', name: `disk-${number}`, draft: {}, maxLength: null, createdBy: 'ann via admin' },
    ...{ createdAt: '2026-01-01T00:00:00.000Z', expiresAt: EXPIRES, endedAt: null, uploadId: null, imageId: null },
    ...members,
  }
}

const nextOf = (view: { readonly fields: readonly { readonly label: string; readonly value: string }[] }): string | undefined =>
  view.fields.find(({ label }) => label === 'Next')?.value

describe('image upload without a file', () => {
  const orders: unknown[] = []
  const script: Script = {
    'POST /links': ({ body }: Asked) => {
      orders.push(body)
      return { id: 'lnk_1', kind: 'upload', url: 'http://edge-a.example/v1/uploads?link=slu_secret', expiresAt: EXPIRES }
    },
  }

  test('gives the options to the link, and shows it in private with its lines', async () => {
    using fleet = openScriptedFleet({ 'edge-a': script })
    const view = await fleet.run('image upload name=debian kind=template format=qcow2 owner=ann labels=env=test cloudInit=true max=40GB for=2h')
    expect(orders.pop()).toEqual({
      ...{ kind: 'upload', ttlSeconds: 7200, name: 'debian', maxLength: 40_000_000_000 },
      draft: { kind: 'template', format: 'qcow2', owner: 'ann', labels: { env: 'test' }, cloudInit: true },
    })
    expect(view).toMatchObject({
      outcome: 'done',
      isPrivate: true,
      followedLink: { store: 'edge-a', id: 'lnk_1', name: 'debian', maxLength: 40_000_000_000, expiresAt: EXPIRES, by: 'ann' },
      json: { store: 'edge-a', id: 'lnk_1', url: 'http://edge-a.example/v1/uploads?link=slu_secret' },
    })
    expect(JSON.stringify(view.followedLink)).not.toContain('slu_secret')
    expect(view.fields.find(({ label }) => label === 'With curl')?.value).toEndWith(`'http://edge-a.example/v1/uploads?link=slu_secret'`)
    expect(view.fields.map(({ label }) => label)).not.toContain('Page')
    await fleet.run('image upload description=text')
    expect(orders.pop()).toEqual({ kind: 'upload', ttlSeconds: 3600, draft: { description: 'text' } })
  })
})

describe('link list', () => {
  test('shows links of all stores, newest first, without their secrets, and names stores that do not answer', async () => {
    using fleet = openScriptedFleet({
      'edge-a': { 'GET /links': page([linkOf(1), linkOf(3, { state: 'used', maxLength: 1000, createdBy: 'ben (U2) via admin' })]) },
      'edge-b': { 'GET /links': page([linkOf(2, { state: 'revoked', name: null })]) },
      'edge-c': { 'GET /links': refuse('forbidden', 'no.') },
    })
    const view = await fleet.run('link list')
    expect(view.text).toBe('3 upload links')
    expect(view.rows.map(({ cells, tone }) => [cells['name'], cells['store'], cells['state'], cells['by'], tone])).toEqual([
      ['disk-3', 'edge-a', 'uploading', 'ben (U2) via admin', 'plain'],
      ['–', 'edge-b', 'revoked', 'ann via admin', 'warning'],
      ['disk-1', 'edge-a', 'waiting for the file', 'ann via admin', 'plain'],
    ])
    expect(view.notes).toEqual([expect.stringContaining('edge-c refused, so its upload links are not in this answer')])
    expect((await fleet.run('link list state=open')).rows).toHaveLength(1)
    expect((await fleet.run('link list store=edge-b state=used')).text).toBe('No upload links.')
  })
})

describe('link revoke', () => {
  const scripts: Readonly<Record<string, Script>> = {
    'edge-a': {
      'GET /links': page([linkOf(1), linkOf(2, { state: 'used', createdBy: 'ben (U2) via admin' }), linkOf(4, { name: 'disk-1', state: 'expired' })]),
      [`DELETE /links/${linkOf(1).id}`]: new Response(null, { status: 204 }),
      [`DELETE /links/${linkOf(2).id}`]: new Response(null, { status: 204 }),
      [`DELETE /links/${linkOf(4).id}`]: refuse('wrong-status', 'The link expired.'),
    },
    'edge-b': { 'GET /links': page([linkOf(2, { id: 'lnk_10000000000000000000000009', name: 'disk-2' })]) },
  }

  test('ends a link by the name of its image or its id', async () => {
    using fleet = openScriptedFleet(scripts)
    const view = await fleet.run('link revoke disk-1')
    expect([view.outcome, view.title, view.text]).toEqual([
      'done',
      'Upload link for disk-1 to edge-a revoked',
      'Nothing was uploaded with it. Whoever opens it reads that it was revoked.',
    ])
    const used = await fleet.run(`link revoke ${linkOf(2).id}`)
    expect(used.text).toBe('Its upload is cancelled: what had arrived is deleted, and no image is left.')
    expect(fleet.asked.filter((line) => line.includes('DELETE'))).toEqual([`edge-a DELETE /links/${linkOf(1).id}`, `edge-a DELETE /links/${linkOf(2).id}`])
  })

  test('does not find links of others, unless for an operator', async () => {
    using fleet = openScriptedFleet(scripts)
    const refused = await fleet.run('link revoke disk-2 store=edge-a', { role: 'uploader' })
    expect([refused.outcome, refused.text]).toEqual(['failed', 'No upload link "disk-2".'])
    expect((await fleet.run('link list', { role: 'uploader' })).rows.map(({ cells }) => cells['by'])).toEqual([
      'ann via admin',
      'ann via admin',
      'ann via admin',
    ])
    expect((await fleet.run('link revoke disk-1', { role: 'uploader' })).outcome).toBe('done')
    expect((await fleet.run('link revoke disk-2 store=edge-a', { role: 'operator' })).outcome).toBe('done')
    expect((await fleet.run('link revoke disk-1', { role: 'viewer' })).outcome).toBe('refused')
  })

  test('says what is missing: an unknown link, one of several, one that has ended', async () => {
    using fleet = openScriptedFleet(scripts)
    const unknown = await fleet.run('link revoke nothing')
    expect([unknown.text, nextOf(unknown)]).toEqual(['No upload link "nothing".', 'List them with link list.'])
    const several = await fleet.run('link revoke disk-2')
    expect([several.text, nextOf(several)]).toEqual([
      `2 upload links match "disk-2": ${linkOf(2).id} in edge-a, lnk_10000000000000000000000009 in edge-b.`,
      'Use the id.',
    ])
    expect((await fleet.run(`link revoke ${linkOf(4).id}`)).text).toBe('The link expired.')
  })
})
