// The main cards as Slack shows them, as text: made by the commands and renderers themselves, from a fleet and a clock that stand still.

import { renderMessage } from '../../../bot/views/blocks.ts'
import type { SlackMessage } from '../../../bot/views/blocks.ts'
import { bulkCard } from '../../../bot/bulk/bulk-card.ts'
import type { BulkItem, BulkRun } from '../../../bot/bulk/bulk-run.ts'
import { createMakeHome } from '../../../bot/slack/home/make-home.ts'
import { noticeMessage } from '../../../bot/slack/send/send-outbox.ts'
import { tasksView } from '../../../bot/commands/task/task-view.ts'
import type { View } from '../../../protocol/views/view.ts'
import type { Task } from '../../../protocol/task.ts'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'
import { openAlertScene } from '../alerts/scene.ts'
import { imageOf, openScriptedFleet, page, storeOf } from '../commands/scripted-fleet.ts'
import type { ScriptedFleet } from '../commands/scripted-fleet.ts'

const NOW_MS = Date.UTC(2026, 0, 1)

const FULL = {
  ...{ name: 'free-space', state: 'warning', measured: '1.2 GB above the reserve', limit: '10 GB', action: 'Make room.' },
  impact: 'Large images will be refused.',
}
const TASK: Task = {
  ...{ id: 'tsk_00000000000000000000000001', kind: 'sync', subject: 'debian-12', createdBy: 'ada (U024BE7LH) via slipway-bot' },
  ...{ state: 'running', createdAt: '2025-12-31T23:58:00.000Z', endedAt: null },
  progress: { done: 12_300_000_000, total: 40_000_000_000, unit: 'bytes', rate: 250_000_000, etaSeconds: 110 },
}

function openFleet() {
  const capacity = { total: 1e12, used: 9.87e11, free: 1.3e10, reserved: 1.18e10, available: 1.2e9 }
  const debian = imageOf(1, { name: 'debian-12', length: 2.1e9, storedSize: 6e8 })
  return openScriptedFleet({
    'edge-a': {
      'GET /images': page([debian, imageOf(2, { name: 'ubuntu-24', length: 2.4e9 })]),
      [`GET /images/${debian.id}`]: debian,
      'POST /unique-size': { uniqueSize: 150_000_000 },
    },
    'edge-b': {
      'GET /health': { state: 'degraded', checks: [FULL], asOf: '2026-01-01T00:00:00.000Z' },
      'GET /store': storeOf({ name: 'edge-b', id: '22222222-2222-4333-8444-555555555555', capacity }),
      'GET /images': page([debian]),
    },
    'edge-c': Object.fromEntries(
      ['GET /health', 'GET /store', 'GET /images'].map((key) => [
        key,
        () => {
          throw Object.assign(new Error('Unable to connect.'), { code: 'ECONNREFUSED' })
        },
      ]),
    ),
  })
}

const names = (what: string, count: number): string[] => Array.from({ length: count }, (_unused, n) => `${what}-${String(n + 1).padStart(2, '0')}`)

/** The card that an alert posts when all stores of these zones stop at the same time. */
function alertCard(zones: Readonly<Record<string, readonly string[]>>): View {
  const stores = Object.entries(zones).flatMap(([zone, stopped]) => stopped.map((store) => [store, zone] as const))
  using it = openAlertScene(Object.fromEntries(stores))
  it.bot.alerts.subscriptions.put({ channel: 'C024BE91L', store: '', zone: '', severity: 'warning', createdBy: 'ada' }, {}, NOW_MS)
  it.see(Object.fromEntries(stores.map(([store]) => [store, 'stopped' as const])))
  it.pass(60)
  const [message] = it.messages()
  if (!message) throw new Error('no alert was posted')
  return message.view
}

/** A deletion of twelve images of which two failed. */
function bulkView(): View {
  const items = names('app', 12).map((name, n): BulkItem => {
    const hasFailed = n === 3 || n === 7
    return {
      ...{ n, name, image: `img_${String(n).padStart(26, '0')}`, store: n < 6 ? 'edge-a' : 'edge-b', length: 2e9, params: {}, task: '', auditSeq: 1 },
      state: hasFailed ? 'failed' : 'done',
      ...(hasFailed ? { detail: `${name} is used by vm-${n}.`, next: `image unbind ${name} vm-${n}` } : { detail: '', next: '' }),
    }
  })
  const run: BulkRun = {
    ...{
      id: 12,
      verb: 'delete',
      title: 'Delete 12 images',
      params: {},
      actor: 'ada (U024BE7LH)',
      actorId: 'U024BE7LH',
      surface: 'slack',
      channel: 'C024BE91L',
      origin: '',
    },
    ...{ state: 'done', startedMs: NOW_MS - 95_000, endedMs: NOW_MS, cancelledBy: '', total: 12 },
    counts: { waiting: 0, running: 0, done: 10, failed: 2, skipped: 0 },
  }
  return bulkCard(run, items, NOW_MS)
}

/** The home tab of an operator who looked at it two hours ago, while an alert is in force. */
async function homeTab({ bot, clock }: ScriptedFleet): Promise<string> {
  const finding = { severity: 'critical', finding: 'The connection was refused.', impact: '', action: 'Check systemctl status slipway-agent@edge-c.' } as const
  bot.alerts.incidents.open({ store: 'edge-c', zone: 'zone-1', condition: 'store-stopped' }, finding, { sinceMs: NOW_MS, nowMs: NOW_MS }, false)
  const make = createMakeHome({
    bot,
    roles: {
      list: () => [{ ...{ subject: 'user:U1', role: 'operator', zone: '', store: '', channel: '' }, source: 'command', grantedBy: '', grantedMs: 0 }],
      hasAdmin: () => true,
    },
    authority: { refresh: async () => {}, actorOf: () => ({ id: 'U1', name: 'ada (U1)', role: 'operator' }) },
    groups: { groupsOf: () => new Set() },
    looks: { before: () => ({ askedMs: clock.nowMs() - 7_200_000, changeId: 0 }) },
    register: () => 'x',
  })
  return preview({ blocks: (await make('U1')).blocks as SlackMessage['blocks'] })
}

/** Returns the previews by title. */
export async function previews(): Promise<[string, string][]> {
  using fleet = openFleet()
  const ask = async (line: string): Promise<[string, string]> => [
    `\`/slipway ${line}\``,
    preview(renderMessage(await fleet.run(line), { nowMs: fleet.clock.nowMs(), command: line, register: () => 'x' })),
  ]
  const card = (view: View): string => preview(renderMessage(view, { nowMs: NOW_MS, command: '', register: () => 'x' }))
  const failed: Task = {
    ...TASK,
    state: 'failed',
    endedAt: '2026-01-01T00:00:00.000Z',
    error: {
      ...{ type: 'urn:slipway:problem:insufficient-storage', title: 'Not enough space', status: 507 },
      ...{ detail: 'debian-12 needs 40 GB, and 1.2 GB are free above the reserve.', action: 'Make room.' },
    },
  }
  await fleet.run('store health')
  fleet.clock.advance(185_000)
  const asked: [string, string][] = []
  for (const line of ['store health', 'store health edge-c', 'store list', 'image list', 'image delete debian-12 store=edge-a']) asked.push(await ask(line))
  const late = noticeMessage({ kind: 'notice', channel: 'C1', messages: 3, edits: 2, oldestMs: NOW_MS - 900_000, dropped: 0 }, NOW_MS)
  return [
    ...asked,
    ['A sync that runs', card(tasksView('Sync of debian-12 to edge-b', [{ store: 'edge-b', task: TASK }], NOW_MS))],
    ['A sync that failed', card(tasksView('Sync of debian-12 to edge-b', [{ store: 'edge-b', task: failed }], NOW_MS))],
    ['Many images at once, when it has ended', card(bulkView())],
    ['An alert', card(alertCard({ 'zone-1': ['edge-c'] }))],
    ['Many alerts of a zone', card(alertCard({ 'zone-2': names('far', 12) }))],
    ['An outage of several zones', card(alertCard({ 'zone-2': names('far', 6), 'zone-3': names('north', 6), 'zone-4': names('south', 6) }))],
    ['After Slack was away', preview(late)],
    ['The home tab of the app', await homeTab(fleet)],
  ]
}

/** A message as text: what a person reads, and the buttons in brackets. */
function preview({ blocks }: Pick<SlackMessage, 'blocks'>): string {
  const read = (text: unknown): string => visibleText({ blocks: [text] as never }).replaceAll(/[*`]([^*`\n]+)[*`]/g, '$1')
  return blocks
    .flatMap((block) => {
      if (block.type === 'actions') return [block.elements.map((element) => `[ ${element.type === 'button' ? element.text.text : element.type} ]`).join(' ')]
      // Slack shows the label of a field above its value.
      if (block.type === 'section' && block.fields) return block.fields.map((field) => read(field).replace('\n', ': '))
      return [read(block)]
    })
    .join('\n')
}
