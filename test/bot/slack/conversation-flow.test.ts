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
  /** Decisions, with whether Slack had been asked for the groups before. */
  const decided = new Set<string>()
  let isFresh = false
  const decide = (what: string): void => void decided.add(`${what} ${isFresh ? 'with' : 'without'} groups`)
  const fetch = () => Promise.reject(new Error('there is no network'))
  const bot = openBot('', { clock: systemClock, database: openMemoryDatabase(), fetch })
  bot.fleet.registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const conversation = createConversation({
    bot,
    authority: {
      async refresh() {
        await Promise.resolve()
        isFresh = true
      },
      actorOf({ user, userName }) {
        decide('actor')
        return { id: user, name: `${userName} (${user})`, role }
      },
      press() {
        decide('press')
        return press && 'command' in press ? { kind: 'press', press } : (press ?? { kind: 'expired' })
      },
      submit() {
        decide('submit')
        return modal && 'command' in modal ? { kind: 'submit', modal } : (modal ?? { kind: 'expired' })
      },
    },
    buttons: {
      find: (id) => (id === 'b9' ? { press: { command: 'store cleanup edge-a', page: 0, role: 'operator' }, isSingleUse: true, isSpent: false } : undefined),
    },
    modals: {
      register(order) {
        did.push(`register ${JSON.stringify(order)}`)
        return 'm1'
      },
      find: (id) => (id === 'm1' ? (modal && 'command' in modal ? modal : MODAL) : undefined),
      restore: (id) => void did.push(`restore ${id}`),
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
  return { did, decided, conversation, exchange, bot, [Symbol.dispose]: () => bot[Symbol.dispose]() }
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
    ['role', 'claim s3cret', 'answer failed in C1 for "role claim" page 0: No longer valid'],
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

describe('what somebody may do', () => {
  const press: Press = { command: 'store list', page: 0, role: 'viewer', picks: { subject: 'store', key: 'store' } }
  const modal: OpenModal = { ...MODAL, command: 'store edit', name: '', form: { values: { S: 'edge-a' }, before: {} } }

  test.each<[string, readonly string[], (it: ReturnType<typeof open>) => Promise<unknown>]>([
    ['a command', ['actor with groups'], ({ conversation, exchange }) => conversation.onCommand('store', 'list', exchange)],
    ['a press', ['press with groups', 'actor with groups'], ({ conversation, exchange }) => conversation.onPress('b1', exchange)],
    ['a choice', ['press with groups', 'actor with groups'], ({ conversation, exchange }) => conversation.onPick('b1', 'edge-a', exchange)],
    ['a form', ['submit with groups', 'actor with groups'], ({ conversation, exchange }) => conversation.onForm('m1', {}, exchange)],
    ['a confirmation', ['submit with groups', 'actor with groups'], ({ conversation, exchange }) => conversation.onConfirmed('m1', 'edge-a', exchange)],
  ])('by %s is decided after the groups of people are known', async (_what, decisions, ask) => {
    using it = open({ press, modal })
    await ask(it)
    expect([...it.decided]).toEqual([...decisions])
  })

  test('is recorded when it is refused, with the command that was asked for', async () => {
    using it = open({ role: 'viewer' })
    await it.conversation.onPress('b9', it.exchange)
    await it.conversation.onPick('b9', 'x', it.exchange)
    await it.conversation.onConfirmed('m1', 'edge-a', it.exchange)
    await it.conversation.onForm('m9', {}, it.exchange)
    const rows = it.bot.audit.list({ limit: 9 }).map(({ command, target, via, outcome, effect, detail }) => [command, target, via, outcome, effect, detail])
    expect(rows.toReversed()).toEqual([
      ['store cleanup edge-a', 'edge-a', 'button', 'refused', 'decision', 'This button has expired, or was used already.'],
      ['store cleanup edge-a', 'edge-a', 'button', 'refused', 'decision', 'This picker has expired, or was used already.'],
      ['store delete edge-a', 'edge-a', 'confirmation', 'refused', 'decision', 'This confirmation has expired, or was used already.'],
      ['', '', 'form', 'refused', 'decision', 'This form has expired, or was used already.'],
    ])
  })
})

test('what a command was about to begin is forgotten once it has been answered without a card', async () => {
  using it = open()
  await it.conversation.onCommand('store', 'cleanup edge-a', it.exchange)
  expect(it.did).toEqual([expect.stringContaining('answer failed in C1 for "store cleanup edge-a"')])
  expect(it.bot.started.left()).toEqual([])
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
    expect(it.did).toEqual([
      'register {"command":"store add","role":"admin","name":"","channel":"C1","user":"U1","form":{"values":{"name":"edge-b"},"before":{}}}',
      'open Add a store',
    ])
    using expired = open({ viewId: null })
    await expired.conversation.onCommand('store', 'add name=edge-b token=s3cret', expired.exchange)
    expect(expired.did.at(-1)).toBe('answer unclear in C1 for "store add" page 0: Add a store')
  })

  test.each<[text: string, opened: string[]]>([
    ['store edit edge-a', ['Edit a store']],
    ['store edit', ['Edit a store']],
    ['image upload', ['Upload an image']],
    ['image upload store=edge-a', []],
    ['store edit edge-a zone=zone-2', []],
    ['store add url=http://127.0.0.1:1 token=x --test', []],
  ])('is opened for /slipway %s: %j', async (text, opened) => {
    using it = open()
    await it.conversation.onCommand('slipway', text, it.exchange)
    expect(it.did.filter((one) => one.startsWith('open')).map((one) => one.slice('open '.length))).toEqual(opened)
  })

  test('of a person who may not run the command is not opened', async () => {
    using it = open({ role: 'viewer' })
    for (const text of ['store add', 'store edit edge-a', 'image upload']) await it.conversation.onCommand('slipway', text, it.exchange)
    expect(it.did).toEqual(['store add', 'store edit edge-a', 'image upload'].map((line) => `answer refused in C1 for "${line}" page 0: Not allowed`))
  })

  test('runs its command with what changed, in the channel where it was opened, and is answered as a typed command', async () => {
    const form = { values: { S: 'edge-a' }, before: { name: 'edge-a', zone: 'zone-1', provider: 'local' } }
    using it = open({ modal: { ...MODAL, command: 'store edit', name: '', form } })
    const outcome = await it.conversation.onForm(
      'm1',
      { name: 'edge-a', zone: ' zone 2 ', provider: 'local', token: '' },
      { ...it.exchange, openModal: undefined },
    )
    expect(outcome).toMatchObject({ kind: 'done', view: { title: { text: 'Done' } } })
    expect(it.bot.fleet.registry.find('edge-a')).toMatchObject({ zone: 'zone 2', provider: 'local' })
    expect(it.bot.audit.list({ limit: 1 })).toMatchObject([{ command: 'store edit edge-a zone="zone 2"', channel: 'C7', via: 'form', outcome: 'done' }])
    expect(it.did).toEqual([])
    if (outcome.kind === 'done') await outcome.answer()
    expect(it.did).toEqual(['answer done in C7 for "store edit edge-a zone="zone 2"" page 0: Store edge-a changed'])
  })

  test.each<[values: Record<string, string>, key: string, words: string]>([
    [{ images: 'maybe' }, 'images', 'images=maybe is not understood. Write images=on or images=off.'],
    [{ retention: 'ever' }, 'retention', 'retention=ever is not a duration of at most ten years. Write it as 12h or 3d, or as configured.'],
    [{ url: 'nonsense://x' }, 'url', 'The connection test failed at step URL: "nonsense://x" is not the address of an agent. Nothing was changed. Write it as'],
  ])('shows what is wrong beside the field: %j', async (values, key, words) => {
    using it = open({ modal: { ...MODAL, command: 'store edit', name: '', form: { values: { S: 'edge-a' }, before: {} } } })
    const outcome = await it.conversation.onForm('m1', { ...values, token: values['url'] === undefined ? '' : 's3cret' }, it.exchange)
    if (outcome.kind !== 'errors') throw new Error(`the form was ${outcome.kind}`)
    expect(Object.keys(outcome.errors)).toEqual([key])
    expect(outcome.errors[key]).toStartWith(words)
    expect(outcome.errors[key]?.length).toBeLessThanOrEqual(150)
    expect(it.did).toEqual(['restore m1'])
    // Where the modal shows something else by then, it gets the form again, with what was filled in but for secrets.
    const again = JSON.stringify(outcome.view)
    for (const value of Object.values(values)) expect(again).toContain(value)
    expect(again).not.toContain('s3cret')
  })

  test('whose store is gone says so, and keeps what was filled in', async () => {
    using it = open({ modal: { ...MODAL, command: 'store edit', name: '', form: { values: { S: 'edge-a' }, before: {} } } })
    it.bot.fleet.registry.remove('edge-a')
    const outcome = await it.conversation.onForm('m1', { zone: 'zone-2' }, it.exchange)
    expect(outcome).toMatchObject({ kind: 'shown', view: { callback_id: 'slipway:form', private_metadata: 'm1' } })
    expect(JSON.stringify(outcome.view)).toContain('No store is called \\"edge-a\\".')
    expect(JSON.stringify(outcome.view)).toContain('zone-2')
  })

  test('of another person, or that was submitted, is refused', async () => {
    using it = open({ modal: { kind: 'used' } })
    const outcome = await it.conversation.onForm('m1', { zone: 'zone-2' }, it.exchange)
    expect(JSON.stringify(outcome)).toContain('This form was used already.')
    await it.conversation.onConfirmed('m1', 'edge-a', it.exchange)
    expect(it.did).toEqual(['deny form used', 'deny confirmation used'])
    expect(it.bot.fleet.registry.find('edge-a')).toMatchObject({ zone: 'zone-1' })
  })
})

describe('a form of a command', () => {
  test('that deletes asks for the name in the same modal, for the channel where the form was opened', async () => {
    const form = { values: { S: 'edge-a', '--unreachable': 'true' }, before: {} }
    using it = open({ modal: { ...MODAL, command: 'store delete', name: '', form } })
    const outcome = await it.conversation.onForm('m1', {}, it.exchange)
    expect(outcome).toMatchObject({ kind: 'shown', view: { callback_id: 'slipway:confirm' } })
    expect(it.did).toEqual([
      expect.stringMatching(/^register \{"command":"store delete edge-a --unreachable --plan=.*"name":"edge-a","channel":"C7","user":"U1"\}$/),
    ])
    expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
  })

  test('that there is no more says so', async () => {
    using it = open({ modal: { ...MODAL, command: 'store polish', name: '' } })
    const outcome = await it.conversation.onForm('m1', {}, it.exchange)
    expect(outcome.kind).toBe('shown')
    expect(JSON.stringify(outcome)).toContain('There is no command store polish.')
  })

  test('shows again what was fixed when it was opened as fixed, and no secret', async () => {
    using it = open({ modal: { ...MODAL, command: 'store edit', name: '', form: { values: { S: 'edge-a' }, before: {} } } })
    const { view } = await it.conversation.onForm('m1', { zone: 'zone-2', url: 'nonsense://x', token: 's3cret' }, it.exchange)
    const blocks = view.blocks.map((block) => [block.type, block.block_id, JSON.stringify(block).includes('edge-a')])
    expect(blocks.filter(([, , isStore]) => isStore)).toEqual([['section', undefined, true]])
    expect(blocks.map(([, id]) => id)).toEqual(expect.arrayContaining(['zone', 'url', 'token']))
    expect(blocks.map(([, id]) => id)).not.toContain('S')
    expect(JSON.stringify(view)).not.toContain('s3cret')
  })
})

describe('a choice in a picker', () => {
  test.each<[command: string, key: string, choice: string, answer: string]>([
    ['store show', '', 'edge-a', 'answer done in C1 for "store show edge-a" page 0: Store edge-a'],
    ['image list', 'store', 'edge-a', 'answer done in C1 for "image list store=edge-a" page 0: Images of edge-a'],
    ['image show', '', '--json', 'answer failed in C1 for "image show "--json"" page 0: Not found'],
  ])('completes %s', async (command, key, choice, answer) => {
    using it = open({ press: { command, page: 0, role: 'viewer', picks: { subject: 'store', key } } })
    await it.conversation.onPick('b1', choice, it.exchange)
    expect(it.did).toEqual([answer])
  })

  test('asks for the name before something is deleted', async () => {
    using it = open({ press: { command: 'store delete --unreachable', page: 0, role: 'admin', picks: { subject: 'store', key: '' } } })
    await it.conversation.onPick('b1', 'edge-a', it.exchange)
    expect(it.did.map((one) => one.split(' {')[0])).toEqual(['open Confirm', 'register', 'update V1 Confirm'])
  })

  test('that is refused runs nothing, and neither does that of a button', async () => {
    using it = open({ press: { kind: 'expired' } })
    await it.conversation.onPick('b1', 'edge-a', it.exchange)
    expect(it.did).toEqual(['deny picker expired'])
    using button = open({ press: { command: 'store list', page: 0, role: 'viewer' } })
    await button.conversation.onPick('b1', 'edge-a', button.exchange)
    expect(button.did).toEqual([])
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

  test('that is wrong is recorded, and the sentence has at most 150 characters', () => {
    using it = open({ modal: { ...MODAL, name: 'n'.repeat(200) } })
    expect(it.conversation.checkName('m1', 'x', it.exchange)).toHaveLength(150)
    expect(it.bot.audit.list({ limit: 1 })).toMatchObject([
      { command: 'store delete edge-a', via: 'confirmation', outcome: 'refused', detail: 'The typed name is another one.' },
    ])
  })

  test('runs the command in the channel where it was asked', async () => {
    using it = open({ modal: { ...MODAL, command: 'store delete edge-a --unreachable', name: 'edge-a' } })
    await it.conversation.onConfirmed('m1', 'edge-a', { ...it.exchange, openModal: undefined })
    expect(it.did).toEqual(['answer done in C7 for "store delete edge-a --unreachable --confirm edge-a" page 0: Removed edge-a from the registry'])
    expect(it.bot.fleet.registry.list()).toEqual([])
  })
})
