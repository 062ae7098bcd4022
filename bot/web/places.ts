// The places of the page, and the commands that make them. Nothing else of the page knows a command by its name: the rest follows from the table of commands.

/** A part of a place: a command line, in which `{}` is the name in the address. */
export interface PlacePart {
  readonly line: string
  /** Options that count until the address says otherwise. */
  readonly defaults?: Readonly<Record<string, string>>
  /** What its rows are, when several can be chosen for commands that take several. */
  readonly chooses?: 'image'
}

export interface Tab {
  /** Last part of the address; empty for the first tab. */
  readonly slug: string
  readonly label: string
  readonly parts: readonly PlacePart[]
  /** Command that the person must be permitted to run here; without it, the tab is not shown. */
  readonly needs?: string
}

/** A place without a name in its address, such as the list of stores. */
export interface Place {
  readonly path: string
  readonly label: string
  readonly parts: readonly PlacePart[]
}

/** A place of one thing, such as a store. */
export interface NamedPlace {
  /** The address before the name. */
  readonly path: string
  readonly label: string
  /** The command whose place this is, and which other pages link to here. */
  readonly shows: string
  /** What its commands take as their first target: they are offered as actions. */
  readonly subject: 'store' | 'image'
  readonly tabs: readonly Tab[]
}

/** In the order of the navigation. */
export const PLACES: readonly Place[] = [
  { path: '/', label: 'Home', parts: [{ line: 'store health all' }, { line: 'alert list' }, { line: 'store health all --chart' }] },
  { path: '/stores', label: 'Stores', parts: [{ line: 'store list', defaults: { columns: 'name,state,provider,protocol,url,zone,scope,used,saved' } }] },
  { path: '/images', label: 'Images', parts: [{ line: 'image list', chooses: 'image' }] },
  { path: '/tasks', label: 'Tasks', parts: [{ line: 'task list' }] },
  { path: '/uploads', label: 'Uploads', parts: [{ line: 'upload list' }] },
  { path: '/alerts', label: 'Alerts', parts: [{ line: 'alert list' }] },
  { path: '/audit', label: 'Audit', parts: [{ line: 'audit list' }] },
  { path: '/help', label: 'Help', parts: [{ line: 'help' }] },
]

export const NAMED_PLACES: readonly NamedPlace[] = [
  {
    path: '/stores/',
    label: 'Store',
    shows: 'store show',
    subject: 'store',
    tabs: [
      { slug: '', label: 'Overview', parts: [{ line: 'store show {}' }, { line: 'store show {} --chart' }] },
      { slug: 'images', label: 'Images', parts: [{ line: 'image list store={}', chooses: 'image' }] },
      { slug: 'files', label: 'Files', parts: [{ line: 'store browse {}' }] },
      // Has a route of its own.
      { slug: 'upload', label: 'Upload files', parts: [], needs: 'image upload' },
      { slug: 'uploads', label: 'Uploads', parts: [{ line: 'upload list store={}' }] },
      { slug: 'tasks', label: 'Tasks', parts: [{ line: 'task list store={}' }] },
      { slug: 'schedules', label: 'Schedules', parts: [{ line: 'schedule list {}' }] },
      { slug: 'events', label: 'Events', parts: [{ line: 'event list store={}' }] },
      { slug: 'checks', label: 'Checks', parts: [{ line: 'store health {}' }] },
    ],
  },
  {
    path: '/images/',
    label: 'Image',
    shows: 'image show',
    subject: 'image',
    tabs: [
      { slug: '', label: 'Facts', parts: [{ line: 'image show {}' }] },
      { slug: 'exports', label: 'Exports', parts: [{ line: 'export list image={}' }] },
      { slug: 'history', label: 'History', parts: [{ line: 'event list image={}' }] },
    ],
  },
]

/** Commands whose rows the search looks through. */
export const SEARCHED: readonly string[] = ['store list', 'image list search={}', 'task list']
