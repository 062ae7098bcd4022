// What channels were shown: for each incident and channel the card, and what it says. A summary is one card for several incidents of a zone.

import type { BotDatabase } from '../system/database.ts'

export interface Post {
  readonly incident: number
  readonly channel: string
  /** The summary that shows the incident; null for a card of its own. */
  readonly group: number | null
  /** The key of the message in the outbox. */
  readonly card: string
  /** The last line of the history that the channel was told. */
  readonly history: number
  /** What the card says, to see whether it has to be edited; empty for a summary. */
  readonly shown: string
  /** When the channel was last told of it, in milliseconds since 1970. */
  readonly toldMs: number
}

export interface Group {
  readonly id: number
  readonly channel: string
  readonly zone: string
  readonly startedMs: number
  readonly shown: string
}

export interface Posts {
  /** The posts of incidents that are open, or were resolved and not settled. */
  live(): Post[]
  put(post: Post): void
  /** Starts a summary. */
  startGroup(channel: string, zone: string, nowMs: number): Group
  /** The newest summary of a zone that was started after a time and has an open incident. */
  openGroup(channel: string, zone: string, afterMs: number): Group | undefined
  findGroup(id: number): Group | undefined
  /** The numbers of the incidents of a summary. */
  members(group: number): number[]
  showGroup(group: number, shown: string): void
  /** Deletes summaries without posts. */
  prune(): void
}

interface Row {
  incident: number
  channel: string
  group_id: number | null
  card: string
  history: number
  shown: string
  told_ms: number
}

interface GroupRow {
  id: number
  channel: string
  zone: string
  started_ms: number
  shown: string
}

/** Creates the posts on the bot's database. */
export function createPosts(database: BotDatabase): Posts {
  const live = database.query<Row, []>(
    `SELECT p.* FROM alert_posts AS p JOIN alert_incidents AS i ON i.id = p.incident WHERE i.resolved_ms IS NULL OR i.is_settled = 0 ORDER BY p.incident`,
  )
  const put = database.query<null, { incident: number; channel: string; group: number | null; card: string; history: number; shown: string; told: number }>(
    `INSERT OR REPLACE INTO alert_posts (incident, channel, group_id, card, history, shown, told_ms)
     VALUES ($incident, $channel, $group, $card, $history, $shown, $told)`,
  )
  const start = database.query<GroupRow, { channel: string; zone: string; now: number }>(
    "INSERT INTO alert_groups (channel, zone, started_ms, shown) VALUES ($channel, $zone, $now, '') RETURNING *",
  )
  const open = database.query<GroupRow, { channel: string; zone: string; after: number }>(
    `SELECT * FROM alert_groups WHERE channel = $channel AND zone = $zone AND started_ms > $after AND EXISTS (
       SELECT 1 FROM alert_posts AS p JOIN alert_incidents AS i ON i.id = p.incident WHERE p.group_id = alert_groups.id AND i.resolved_ms IS NULL)
     ORDER BY id DESC LIMIT 1`,
  )
  const find = database.query<GroupRow, { id: number }>('SELECT * FROM alert_groups WHERE id = $id')
  const members = database.query<{ incident: number }, { group: number }>('SELECT incident FROM alert_posts WHERE group_id = $group ORDER BY incident')
  const show = database.query<null, { id: number; shown: string }>('UPDATE alert_groups SET shown = $shown WHERE id = $id')
  const prune = database.query<null, []>('DELETE FROM alert_groups WHERE NOT EXISTS (SELECT 1 FROM alert_posts WHERE group_id = alert_groups.id)')
  return {
    live: () => live.all().map(({ group_id: group, told_ms: toldMs, ...row }) => ({ ...row, group, toldMs })),
    put: ({ toldMs: told, ...post }) => void put.run({ ...post, told }),
    startGroup(channel, zone, now) {
      const row = start.get({ channel, zone, now })
      if (!row) throw new Error('the insert returned no row')
      return toGroup(row)
    },
    openGroup(channel, zone, after) {
      const row = open.get({ channel, zone, after })
      return row ? toGroup(row) : undefined
    },
    findGroup(id) {
      const row = find.get({ id })
      return row ? toGroup(row) : undefined
    },
    members: (group) => members.all({ group }).map(({ incident }) => incident),
    showGroup: (id, shown) => void show.run({ id, shown }),
    prune: () => void prune.run(),
  }
}

function toGroup({ started_ms: startedMs, ...row }: GroupRow): Group {
  return { ...row, startedMs }
}
