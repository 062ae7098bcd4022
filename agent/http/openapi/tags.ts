// Groups of operations in the OpenAPI document, by the first part of the path.

export interface Tag {
  readonly name: string
  readonly description: string
}

/** All groups, sorted by name. */
export const TAGS: readonly Tag[] = [
  { name: 'agent', description: 'Health, evidence, metrics and the description of the agent itself' },
  { name: 'events', description: 'What happened in the store' },
  { name: 'files', description: 'Files on disk below the mount path' },
  { name: 'host-keys', description: 'Host keys of SFTP servers that were pinned on first use' },
  { name: 'images', description: 'Images: list, change, delete, restore, and read by ranges' },
  { name: 'links', description: 'Signed URLs that allow one upload or one download without a token' },
  { name: 'media-groups', description: 'Groups of images, shown to every viewer or hidden' },
  { name: 'page', description: 'The page of the store for a person with a browser' },
  { name: 'schedules', description: 'Jobs that run at set times' },
  { name: 'slices', description: 'The content-addressed pieces of images, for other stores and for delta uploads' },
  { name: 'store', description: 'State and settings of the store' },
  { name: 'sync', description: 'Copies images from other stores' },
  { name: 'tasks', description: 'Long work with progress' },
  { name: 'tokens', description: 'Credentials with roles' },
  { name: 'uploads', description: 'Resumable uploads: tus 1.0.0, and resumable uploads for HTTP (draft-ietf-httpbis-resumable-upload)' },
]

/** Returns the group of a path; `agent` for paths without their own group. */
export function tagOf(path: string): string {
  if (path === '/' || path.startsWith('/page/')) return 'page'
  const part = /^\/v1\/([a-z-]+)/.exec(path)?.[1]
  return TAGS.find(({ name }) => name === part)?.name ?? 'agent'
}
