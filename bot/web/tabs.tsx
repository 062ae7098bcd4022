// The tabs of a place of one thing, such as a store.

/** @jsxImportSource hono/jsx */

import type { Html } from '../../protocol/views/html/html.ts'
import type { CommandContext } from '../commands/command.ts'
import { permit } from '../commands/permit.ts'
import { spelled } from '../commands/record.ts'
import type { NamedPlace, Tab } from './places.ts'

interface TabsParts {
  readonly context: CommandContext
  readonly place: NamedPlace
  readonly name: string
  readonly current: Tab
}

/** The tabs that the person may open. */
export function Tabs({ context, place, name, current }: TabsParts): Html {
  return (
    <nav class="tabs" aria-label={`${place.label} ${name}`}>
      <ul>
        {place.tabs
          .filter((tab) => isOpenTo(context, place, name, tab))
          .map((tab) => (
            <li>
              <a href={addressOf(place, name, tab)} {...(tab === current ? { 'aria-current': 'page' as const } : {})}>
                {tab.label}
              </a>
            </li>
          ))}
      </ul>
    </nav>
  )
}

/** Whether the person may open a tab. */
export function isOpenTo(context: CommandContext, { subject }: NamedPlace, name: string, { needs }: Tab): boolean {
  if (needs === undefined) return true
  const command = context.commands.find((candidate) => spelled(candidate) === needs)
  const input = { targets: [], options: { [subject]: name }, flags: new Set<string>(), confirm: [], plan: undefined }
  return command !== undefined && permit(context, command, input).kind === 'permitted'
}

/** The address of a tab. */
export function addressOf({ path }: NamedPlace, name: string, { slug }: Tab): string {
  return `${path}${encodeURIComponent(name)}${slug === '' ? '' : `/${slug}`}`
}
