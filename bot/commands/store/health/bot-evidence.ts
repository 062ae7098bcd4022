// The evidence that the bot has of a store whose agent gives none: what the registry, the service and the last contacts know.

import { release } from 'node:os'
import packageFile from '../../../../package.json' with { type: 'json' }
import { evidenceReadme, jsonDocument, jsonLines, readPart } from '../../../../protocol/evidence.ts'
import type { EvidencePart } from '../../../../protocol/evidence.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { KEPT_EVENTS_MAX } from '../../../fleet/kept-events.ts'
import { judge, observationJson } from '../../../fleet/judge.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import { keptSightings } from '../../../fleet/see.ts'
import type { CommandContext } from '../../command.ts'

/** Longest text of one file, in bytes. */
const FILE_BYTES_MAX = 512 * 1024

/** Makes the archive. `reason` is why the agent gave none, in a sentence. */
export async function botEvidence(
  context: CommandContext,
  store: StoreRecord,
  reason: string,
): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly content: string }> {
  const nowMs = context.clock.nowMs()
  const secrets = context.fleet.registry.list().map(({ token }) => token)
  const turn = (): Promise<void> => context.clock.sleep(0)
  const files = await Promise.all(partsOf(context, store, reason).map((part) => readPart(part, secrets, turn)))
  const head = [
    `The agent of ${store.name} did not give its evidence. This archive has only what the bot knows.`,
    `Why: ${reason}`,
    `Made by the bot at ${formatTime(nowMs)}, asked for by ${context.actor.name}.`,
    `On the node, journalctl -u slipway-agent@${store.name} has the log of the agent.`,
  ]
  const readme = await readPart({ name: 'README.txt', about: '', bytesMax: FILE_BYTES_MAX, read: () => evidenceReadme(head, files).split('\n') }, secrets, turn)
  const folder = `slipway-evidence-${store.name}`
  const entries = [readme, ...files].map(({ name, text }) => [`${folder}/${name}`, text] as const)
  const bytes = await new Bun.Archive(Object.fromEntries(entries), { compress: 'gzip' }).bytes()
  return { bytes, content: 'registration, last known state, changes of the state, kept events, versions of the bot' }
}

function partsOf({ fleet, clock }: CommandContext, store: StoreRecord, reason: string): EvidencePart[] {
  const nowMs = clock.nowMs()
  const part = (name: string, about: string, read: EvidencePart['read']): EvidencePart => ({ name, about, bytesMax: FILE_BYTES_MAX, read })
  const { name } = store
  return [
    part('contact.json', 'why the agent gave no evidence, and when it last answered', () =>
      jsonDocument({ asOf: formatTime(nowMs), reason, ...timesOf(store) }),
    ),
    part('registration.json', 'the store as it is registered, without its token', () => jsonDocument(registrationOf(store))),
    part('state.json', 'what the service of the bot saw last; null when it does not run', () => {
      const sighting = keptSightings(fleet, [store], nowMs).get(name)
      const seen = sighting && judge(sighting)
      return jsonDocument(seen ? { ...observationJson(seen, nowMs), checks: seen.checks, store: seen.store } : null)
    }),
    part('changes.jsonl', 'changes of the state', () =>
      jsonLines(
        (fleet.kept?.changes.after(0) ?? [])
          .filter((change) => change.store === name)
          .map(({ timeMs, before, after }) => ({ time: formatTime(timeMs), before, after }))
          .toReversed(),
      ),
    ),
    part('events.jsonl', 'the newest events of the store that the bot kept', () =>
      jsonLines(
        (fleet.kept?.events.list({ stores: [name], limit: KEPT_EVENTS_MAX }) ?? []).map(({ timeMs, ...event }) => ({ time: formatTime(timeMs), ...event })),
      ),
    ),
    part('versions.json', 'versions of the bot, Bun and kernel', () =>
      jsonDocument({ bot: packageFile.version, bun: Bun.version, bunRevision: Bun.revision, kernel: release() }),
    ),
  ]
}

function timesOf({ lastSeenMs, stoppedSinceMs, stoppedReason }: StoreRecord): Record<string, string | null> {
  const time = (ms: number | null): string | null => (ms === null ? null : formatTime(ms))
  return { lastSeen: time(lastSeenMs), stoppedSince: time(stoppedSinceMs), stoppedReason }
}

/** The members of a registration that are shown; a new one stays out until it is listed here. */
function registrationOf({ name, url, zone, provider, storeId, addedMs, reconnectMs }: StoreRecord): Record<string, unknown> {
  return { name, url, zone, provider, storeId, addedAt: formatTime(addedMs), reconnectMs }
}
