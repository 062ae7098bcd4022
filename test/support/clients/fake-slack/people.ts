// What people do in Slack, as the requests that Slack makes of it.

import { suggestionRefusal } from './element-rules.ts'
import type { Tickets } from './limits.ts'
import type { Methods } from './methods.ts'
import { isObject, textOf } from './shown.ts'
import type { Json, Shown } from './shown.ts'
import type { Acknowledged, Transport } from './transport.ts'

export interface Person {
  readonly user?: string
  readonly channel?: string
}

export interface People {
  /** A slash command; resolves with its acknowledgement. */
  command(command: string, text: string, person?: Person): Promise<Acknowledged>
  /** Presses the button with this label in a message, a modal or a home tab. */
  press(message: Shown, label: string, person?: Person): Promise<Acknowledged>
  /** Submits the last state of a modal. A value is a text, or the option or the options of a select. */
  submit(view: Json, values: Readonly<Record<string, string | Json | readonly Json[]>>, person?: Person): Promise<Acknowledged>
  /** Types in a picker whose options the bot finds; resolves with its answer. */
  suggest(view: Json, actionId: string, typed: string, person?: Person): Promise<Acknowledged>
  /** Types in the picker of a message; resolves with its answer. */
  search(message: Shown, typed: string, person?: Person): Promise<Acknowledged>
  /** Chooses an option in the picker of a message. */
  choose(message: Shown, option: Json, person?: Person): Promise<Acknowledged>
  /** Opens the home tab of the app; `repeat` sends the same event again. */
  openHome(
    person?: Person & { readonly tab?: 'home' | 'messages'; readonly repeat?: { readonly eventId: string; readonly number: number } },
  ): Promise<Acknowledged & { readonly eventId: string }>
}

export interface PeopleDeps {
  readonly transport: Transport
  readonly tickets: Tickets
  readonly methods: Methods
  readonly failures: string[]
  readonly next: (prefix: string) => string
  /** Address of a response_url with this id. */
  readonly responseUrl: (id: string) => string
}

/** Creates the people of one workspace. */
export function createPeople({ transport, tickets, methods, failures, next, responseUrl }: PeopleDeps): People {
  /** Returns the members of every request of a person: a new trigger and, where Slack sends one, a new response_url. */
  const identity = ({ user = 'U1', channel = 'C1' }: Person) => {
    const trigger = next('trigger')
    const responseId = next('response')
    tickets.issueTrigger(trigger)
    tickets.issueResponse(responseId, channel)
    return { trigger, responseUrl: responseUrl(responseId), user, channel }
  }
  const who = (user: string): Json => ({
    team: { id: 'T1', domain: 'fake' },
    user: { id: user, username: `name-${user}`, name: `name-${user}`, team_id: 'T1' },
    api_app_id: 'A1',
    token: 'legacy',
  })
  return {
    command(command, text, person = {}) {
      const { trigger, responseUrl: url, user, channel } = identity(person)
      return transport.deliver('slash_commands', {
        token: 'legacy',
        team_id: 'T1',
        team_domain: 'fake',
        channel_id: channel,
        channel_name: 'ops',
        user_id: user,
        user_name: `name-${user}`,
        command,
        text,
        api_app_id: 'A1',
        is_enterprise_install: 'false',
        response_url: url,
        trigger_id: trigger,
      })
    },
    press(message, label, person = {}) {
      const { trigger, responseUrl: url, user } = identity(person)
      const button = findButton(message.blocks, label)
      const action = { type: 'button', action_id: button['action_id'], block_id: 'b', value: button['value'], text: button['text'], action_ts: '1' }
      const pressed = { ...who(user), type: 'block_actions', trigger_id: trigger, state: { values: {} }, actions: [action] }
      // A press in a view has neither a channel nor a response_url.
      if (message.view)
        return transport.deliver('interactive', {
          ...pressed,
          container: { type: 'view', view_id: message.ts },
          view: methods.view(message.ts) ?? message.view,
        })
      return transport.deliver('interactive', {
        ...pressed,
        container: { type: 'message', message_ts: message.ts, channel_id: message.channel, is_ephemeral: message.kind !== 'post' },
        channel: { id: message.channel, name: 'ops' },
        message: { ts: message.ts, text: message.text },
        response_url: url,
      })
    },
    submit(view, values, person = {}) {
      const { trigger, user } = identity(person)
      const state = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, { [key]: stateOf(value) }]))
      return transport.deliver('interactive', {
        ...who(user),
        type: 'view_submission',
        trigger_id: trigger,
        view: { ...(methods.view(textOf(view['id'])) ?? view), state: { values: state } },
        response_urls: [],
      })
    },
    async suggest(view, actionId, typed, person = {}) {
      const { user } = identity(person)
      const asked = { type: 'block_suggestion', action_id: actionId, block_id: actionId, value: typed, container: { type: 'view', view_id: view['id'] } }
      const answer = await transport.deliver('interactive', { ...who(user), ...asked, view: methods.view(textOf(view['id'])) ?? view })
      const refusal = suggestionRefusal(answer.body)
      if (refusal !== undefined) failures.push(`invalid options: ${refusal}`)
      return answer
    },
    async search(message, typed, person = {}) {
      const { user } = identity(person)
      const place = { container: { type: 'message', message_ts: message.ts, channel_id: message.channel }, channel: { id: message.channel, name: 'ops' } }
      const asked = { ...who(user), ...place, type: 'block_suggestion', action_id: findPicker(message.blocks)['action_id'], block_id: 'b', value: typed }
      const answer = await transport.deliver('interactive', asked)
      const refusal = suggestionRefusal(answer.body)
      if (refusal !== undefined) failures.push(`invalid options: ${refusal}`)
      return answer
    },
    choose(message, option, person = {}) {
      const { trigger, responseUrl: url, user } = identity(person)
      const action = { type: 'external_select', action_id: findPicker(message.blocks)['action_id'], block_id: 'b', selected_option: option, action_ts: '1' }
      return transport.deliver('interactive', {
        ...who(user),
        type: 'block_actions',
        trigger_id: trigger,
        state: { values: {} },
        actions: [action],
        container: { type: 'message', message_ts: message.ts, channel_id: message.channel, is_ephemeral: message.kind !== 'post' },
        channel: { id: message.channel, name: 'ops' },
        message: { ts: message.ts, text: message.text },
        response_url: url,
      })
    },
    async openHome({ user = 'U1', tab = 'home', repeat } = {}) {
      const eventId = repeat?.eventId ?? next('Ev')
      const event = { type: 'app_home_opened', user, channel: `D${user}`, tab, event_ts: '1700000000.000100' }
      const payload = { token: 'legacy', team_id: 'T1', api_app_id: 'A1', type: 'event_callback', event_id: eventId, event_time: 1_700_000_000, event }
      return { ...(await transport.deliver('events_api', payload, repeat?.number)), eventId }
    },
  }
}

/** What the state of a modal has of an input with this value. */
function stateOf(value: string | Json | readonly Json[]): Json {
  if (typeof value === 'string') return { type: 'plain_text_input', value }
  return isObject(value) ? { type: 'static_select', selected_option: value } : { type: 'multi_static_select', selected_options: value }
}

function findPicker(blocks: readonly Json[]): Json {
  const elements = blocks.flatMap((block) => (block['type'] === 'actions' ? (block['elements'] as Json[]) : []))
  const picker = elements.find((element) => element['type'] === 'external_select')
  if (!picker) throw new Error('the message has no picker')
  return picker
}

function findButton(blocks: readonly Json[], label: string): Json {
  const elements = blocks.flatMap((block) => {
    if (block['type'] === 'actions') return block['elements'] as Json[]
    return isObject(block['accessory']) ? [block['accessory']] : []
  })
  const labels = elements.map((element) => (isObject(element['text']) ? textOf(element['text']['text']) : ''))
  const button = elements[labels.indexOf(label)]
  if (!button) throw new Error(`no button "${label}" among ${labels.join(', ')}`)
  return button
}
