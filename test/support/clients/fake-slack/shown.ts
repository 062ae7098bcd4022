// What a person sees in the fake Slack: messages, edits, modals and home tabs.

/** An object as Slack receives it. */
export type Json = Record<string, unknown>

/** Something a person sees. */
export interface Shown {
  readonly kind: 'response' | 'post' | 'ephemeral' | 'update' | 'modal' | 'home'
  /** For a home tab: the id of the person who sees it. */
  readonly channel: string
  readonly ts: string
  readonly text: string
  readonly blocks: Json[]
  readonly atMs: number
  /** For responses: whether the whole channel sees it. */
  readonly inChannel: boolean
  /** Time stamp of the message in whose thread it is. */
  readonly thread?: string
  readonly view?: Json
}

/** Returns a string as it is, nothing as an empty one, and any other value as JSON. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value)
}

/** Whether a value is an object and not a list. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns the blocks of a message or a view; none when it has none. */
export function blocksOf(body: Json): Json[] {
  return (body['blocks'] as Json[] | undefined) ?? []
}

/** Returns all text of blocks that a person reads where Slack shows no dates in the zone of the reader, one piece per line. */
export function visibleText(shown: Pick<Shown, 'blocks'>): string {
  const texts: string[] = []
  const walk = (value: unknown, key: string): void => {
    if (typeof value === 'string' && key === 'text')
      texts.push(
        value
          .replaceAll(/<!date\^\d+\^[^|>]*\|([^>]*)>/g, '$1')
          .replaceAll('&lt;', '<')
          .replaceAll('&gt;', '>')
          .replaceAll('&amp;', '&'),
      )
    else if (Array.isArray(value)) for (const item of value) walk(item, key)
    else if (isObject(value)) for (const [name, member] of Object.entries(value)) walk(member, name)
  }
  walk(shown.blocks, '')
  return texts.join('\n')
}
