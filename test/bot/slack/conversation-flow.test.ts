// What a typed, pressed or submitted command becomes: which line is run, where its answer goes, and which modal is opened first.

import { describe, expect, test } from 'bun:test'
import { openBot } from '../../../bot/open.ts'
import type { Denial } from '../../../bot/slack/authorise.ts'
import { createConversation } from '../../../bot/slack/conversation.ts'
import type { Exchange } from '../../../bot/slack/exchange.ts'
import type { OpenModal } from '../../../bot/slack/open-modals.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import type { Press } from '../../../bot/views/blocks.ts'
import type { Role } from '../../../protocol/access.ts'

interface Setting {
  readonly role?: Role
  /** What a press or a submission does, or why it is refused. */
  readonly press?: Press | Denial
  readonly modal?: OpenModal | Denial
  /** The id of an opened modal; null when its trigger has expired. */
  readonly viewId?: string | null
}

const MODAL: OpenModal = { command: 'store delete edge-a', role: 'admin', name: 'edge-a, edge-b', channel: 'C7', user: 'U1' }

/** A conversation whose only store, `edge-a`, does not answer; `did` has what happened, in order. */
function open({ role = 'admin', press, modal, viewId = 'V1' }: Setting = {}) {
  const did: string[] = []
  const fetch = () => Promise.reject(new Error('there is no network'))
  const bot = openBot('', { clock: systemClock, database: openMemoryDatabase(), fetch })
  bot.fleet.registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const conversation = createConversation({
    bot,
    authority: {
      refresh: async () => {},
      actorOf: ({ user, userName }) => ({ id: user, name: `${userName} (${user})`, role }),
      press: () => (press && 'command' in press ? { kind: 'press', press } : (press ?? { kind: 'expired' })),
      submit: () => (modal && 'command' in modal ? { kind: 'submit', modal } : (modal ?? { kind: 'expired' })),
    },
    buttons: { find: () => undefined },
    modals: {
      register(order) {
        did.push(`register ${JSON.stringify(order)}`)
        return 'm1'
      },
      find: (id) => (id === 'm1' ? MODAL : undefined),
    },
    answers: {
      async answer(view, _parsed, exchange, shown) {
        did.push(`answer ${view.outcome} in ${exchange.channel} for "${shown.command}" page ${shown.page}${shown.replaces ? ', replaced' : ''}: ${view.title}`)
      },
      deny: async (denial, what) => void did.push(`deny ${what} ${denial.kind}`),
    },
    port: { updateModal: async (id, { title }) => void did.push(`update ${id} ${title.text}`) },
    render: ({ title }) => ({ text: title, blocks: [{ type: 'section', text: { type: 'mrkdwn', text: title } }] }),
  })
  const exchange: Exchange = {
    user: 'U1',
    userName: 'ann',
    channel: 'C1',
    respond: undefined,
    async openModal({ title }) {
      did.push(`open ${title.text}`)
      return viewId ?? undefined
    },
  }
  return { did, conversation, exchange, bot, [Symbol.dispose]: () => bot[Symbol.dispose]() }
}

describe('a typed command', () => {
  test.each<[name: string, text: string, did: string]>([
    ['slipway', ' help ', 'answer done in C1 for "help" page 0: Slipway commands'],
    ['slipway', '', 'answer done in C1 for "" page 0: Slipway commands'],
    ['store', '', 'answer done in C1 for "store" page 0: Stores'],
    ['store', 'list', 'answer done in C1 for "store list" page 0: Stores'],
    ['slipway', 'help &lt;https://x.example|x.example&gt;', 'answer failed in C1 for "help <https://x.example|x.example>" page 0: Not found'],
    ['slipway', 'help <https://x.example|x.example>', 'answer failed in C1 for "help https://x.example" page 0: Not found'],
    ['slipway', 'stor lst token=s3cret', 'answer unclear in C1 for "" page 0: Not understood'],
    ['slipway', 'stor lst', 'answer unclear in C1 for "stor lst" page 0: Not understood'],
    ['slipway', 'store edit edge-a token=s3cret', 'answer failed in C1 for "store edit" page 0: Connection test failed'],
    ['image', 'add url=https://x.example/a?sig=1 name=a', 'answer failed in C1 for "image add" page 0: Other store unreachable'],
    ['image', 'add path=/x name=a', 'answer failed in C1 for "image add path=/x name=a" page 0: Other store unreachable'],
  ])('/%s %s is answered: %s', async (name, text, did) => {
    using it = open()
    await it.conversation.onCommand(name, text, it.exchange)
    expect(it.did).toEqual([did])
  })

  test('runs as the person who sent it', async () => {
    using it = open({ role: 'viewer' })
    await it.conversation.onCommand('slipway', 'store cleanup edge-a', it.exchange)
    expect(it.bot.audit.list({ limit: 1 })).toMatchObject([{ actor: 'ann (U1)', surface: 'slack', outcome: 'refused' }])
  })
})

describe('a destructive command', () => {
  test('opens its modal before agents are asked, with what blocks it', async () => {
    using it = open()
    await it.conversation.onCommand('slipway', 'store delete edge-a', it.exchange)
    expect(it.did).toEqual(['open Confirm', 'update V1 Not possible now'])
  })

  test('asks for the name, bound to the person, the channel and the role', async () => {
    using it = open()
    await it.conversation.onCommand('slipway', 'store delete edge-a --unreachable', it.exchange)
    expect(it.did).toEqual([
      'open Confirm',
      expect.stringMatching(
        /^register \{"command":"store delete edge-a --unreachable --plan=[0-9a-z]+","role":"admin","name":"edge-a","channel":"C1","user":"U1"\}$/,
      ),
      'update V1 Confirm',
    ])
  })

  test('is answered in the channel when no modal could be opened', async () => {
    using it = open({ viewId: null })
    await it.conversation.onCommand('slipway', 'store delete edge-a --unreachable', it.exchange)
    expect(it.did).toEqual(['open Confirm', 'answer refused in C1 for "store delete edge-a --unreachable" page 0: Delete edge-a from the registry'])
  })

  test.each<[Setting, string, string]>([
    [{ role: 'operator' }, 'store delete edge-a', 'answer refused in C1 for "store delete edge-a" page 0: Not allowed'],
    [{}, 'store delete edge-a --confirm edge-b', 'answer refused in C1 for "store delete edge-a --confirm edge-b" page 0: Delete edge-a from the registry'],
    [{}, 'policy run p', 'answer failed in C1 for "policy run p" page 0: Not found'],
  ])('opens no modal for %j %s', async (setting, line, answer) => {
    using it = open(setting)
    await it.conversation.onCommand('slipway', line, it.exchange)
    expect(it.did).toEqual([answer])
  })

  test('with the flag that destroys opens a modal, which shows why it fails', async () => {
    using it = open()
    await it.conversation.onCommand('slipway', 'policy run p --removes', it.exchange)
    expect(it.did).toEqual(['open Confirm', 'update V1 Not possible now'])
  })
})

describe('a form', () => {
  test('is opened for what a command lacks, and otherwise answered', async () => {
    using it = open()
    await it.conversation.onCommand('store', 'add name=edge-b token=s3cret', it.exchange)
    expect(it.did).toEqual(['register {"command":"store add","role":"admin","name":"","channel":"C1","user":"U1"}', 'open Add a store'])
    using expired = open({ viewId: null })
    await expired.conversation.onCommand('store', 'add name=edge-b token=s3cret', expired.exchange)
    expect(expired.did.at(-1)).toBe('answer unclear in C1 for "store add" page 0: Add a store')
  })

  test('runs its command with the values that were given', async () => {
    using it = open({ modal: { ...MODAL, command: 'store edit edge-a', name: '' } })
    await it.conversation.onForm('m1', { zone: ' zone 2 ', provider: '  ' }, 'V3', it.exchange)
    expect(it.did).toEqual(['update V3 Done'])
    expect(it.bot.fleet.registry.find('edge-a')).toMatchObject({ zone: 'zone 2', provider: 'local' })
    await it.conversation.onForm('m1', { images: 'maybe' }, 'V3', it.exchange)
    expect(it.did.at(-1)).toBe('update V3 Not done')
  })

  test('of another person, or that was submitted, is refused', async () => {
    using it = open({ modal: { kind: 'used' } })
    await it.conversation.onForm('m1', { zone: 'zone-2' }, 'V3', it.exchange)
    await it.conversation.onConfirmed('m1', 'edge-a', it.exchange)
    expect(it.did).toEqual(['deny form used', 'deny confirmation used'])
    expect(it.bot.fleet.registry.find('edge-a')).toMatchObject({ zone: 'zone-1' })
  })
})

describe('a press', () => {
  test.each<[page: number, did: string]>([
    [0, 'answer done in C1 for "store list" page 0: Stores'],
    [1, 'answer done in C1 for "store list" page 1, replaced: Stores'],
  ])('that shows page %d', async (page, did) => {
    using it = open({ press: { command: 'store list', page, role: 'viewer' } })
    await it.conversation.onPress('b1', it.exchange)
    expect(it.did).toEqual([did])
  })

  test('that is refused runs nothing', async () => {
    using it = open({ press: { kind: 'forbidden', needs: 'admin', has: 'viewer' } })
    await it.conversation.onPress('b1', it.exchange)
    expect(it.did).toEqual(['deny button forbidden'])
  })
})

describe('the typed name', () => {
  test('is compared without the space around commas; an unknown modal is judged later', () => {
    using it = open()
    const checkName = (id: string, typed: string) => it.conversation.checkName(id, typed, it.exchange)
    expect([checkName('m1', ' edge-a,edge-b '), checkName('m1', 'edge-a ,  edge-b'), checkName('m2', 'x')]).toEqual([undefined, undefined, undefined])
    expect(checkName('m1', 'edge-a')).toBe('The name is edge-a, edge-b.')
    expect(checkName('m1', 'edge-aedge-b')).toBe('The name is edge-a, edge-b.')
  })

  test('runs the command in the channel where it was asked', async () => {
    using it = open({ modal: { ...MODAL, command: 'store delete edge-a --unreachable', name: 'edge-a' } })
    await it.conversation.onConfirmed('m1', 'edge-a', { ...it.exchange, openModal: undefined })
    expect(it.did).toEqual(['answer done in C7 for "store delete edge-a --unreachable --confirm edge-a" page 0: Removed edge-a from the registry'])
    expect(it.bot.fleet.registry.list()).toEqual([])
  })
})
