// Addresses of the page. All links are relative, so the page also works below a prefix that a proxy removes.

/** A place of the page in the order of its navigation. */
export interface PagePlace {
  /** Path of the route. */
  readonly path: string
  readonly label: string
}

export const PAGE_PLACES = [
  { path: '/', label: 'Store' },
  { path: '/page/images', label: 'Images' },
  { path: '/page/uploads', label: 'Uploads' },
  { path: '/page/tasks', label: 'Tasks' },
  { path: '/page/events', label: 'Events' },
] as const satisfies readonly PagePlace[]

/** Returns the relative address of a path, seen from another path of the page. */
export function relativeHref(from: string, to: string): string {
  const up = '../'.repeat(from.split('/').length - 2)
  return up + to.slice(1) || './'
}
