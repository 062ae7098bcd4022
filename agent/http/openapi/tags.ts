// Groups of operations in the OpenAPI document, by the first part of the path.

export interface Tag {
  readonly name: string
  readonly description: string
}

/** All groups, by name. */
export const TAGS: readonly Tag[] = [
  { name: 'agent', description: 'Health, metrics and the description of the agent itself' },
  { name: 'events', description: 'What happened in the store' },
  { name: 'files', description: 'The mount path as it is on disk' },
  { name: 'images', description: 'Images: list, change, delete, restore, and read by ranges' },
  { name: 'links', description: 'Signed URLs that open one thing without a token' },
  { name: 'schedules', description: 'Jobs that run by the clock' },
  { name: 'slices', description: 'The content-addressed pieces of images, for other stores and for delta uploads' },
  { name: 'store', description: 'The store as a whole' },
  { name: 'sync', description: 'Copies of images from other stores' },
  { name: 'tasks', description: 'Long work with progress' },
  { name: 'tokens', description: 'Credentials with roles' },
  { name: 'uploads', description: 'Resumable uploads: tus 1.0.0, and resumable uploads for HTTP (draft-ietf-httpbis-resumable-upload)' },
]

/** The group of a path; `agent` for what has none of its own. */
export function tagOf(path: string): string {
  const part = /^\/v1\/([a-z]+)/.exec(path)?.[1]
  return TAGS.find(({ name }) => name === part)?.name ?? 'agent'
}
