// Who may call what, written by hand. The tests of access compare the agent with this table and never with the code that decides. A new route
// must be added here before those tests pass.

/** Roles from least to most. */
export const TABLE_ROLES = ['viewer', 'uploader', 'operator', 'admin'] as const

/** Everyone who can send a request. The used upload link belongs to the upload of the path, the download link and the grant between stores to
 * its image. */
export const CALLERS = ['nobody', 'viewer', 'uploader', 'operator', 'admin', 'fresh upload link', 'used upload link', 'download link', 'grant'] as const
export type Caller = (typeof CALLERS)[number]

const EVERYBODY: readonly Caller[] = ['nobody', 'viewer', 'uploader', 'operator', 'admin', 'fresh upload link', 'used upload link', 'download link']
const VIEWERS: readonly Caller[] = ['viewer', 'uploader', 'operator', 'admin']
const VIEWERS_AND_GRANT: readonly Caller[] = [...VIEWERS, 'grant']
const UPLOADERS: readonly Caller[] = ['uploader', 'operator', 'admin']
const OPERATORS: readonly Caller[] = ['operator', 'admin']
const ADMINS: readonly Caller[] = ['admin']

/** Callers by path and method. HEAD is listed where GET is; OPTIONS is open to everyone on every path. */
export const ACCESS_TABLE: Readonly<Record<string, Readonly<Record<string, readonly Caller[]>>>> = {
  '/v1/health': { GET: EVERYBODY, HEAD: EVERYBODY },
  '/v1/store': { GET: VIEWERS_AND_GRANT, HEAD: VIEWERS_AND_GRANT, PATCH: OPERATORS },
  '/v1/store/enable': { POST: OPERATORS },
  '/v1/store/disable': { POST: OPERATORS },
  '/v1/store/reconnect': { POST: OPERATORS },
  '/v1/store/cleanup': { POST: OPERATORS },
  '/v1/store/reconcile': { POST: OPERATORS },
  '/v1/images': { GET: VIEWERS, HEAD: VIEWERS, POST: UPLOADERS },
  // Uploaders may cancel their own uploads.
  '/v1/images/:id': { GET: VIEWERS_AND_GRANT, HEAD: VIEWERS_AND_GRANT, PATCH: OPERATORS, DELETE: UPLOADERS },
  '/v1/media-groups': { GET: VIEWERS, HEAD: VIEWERS, POST: OPERATORS },
  '/v1/media-groups/:name': { PATCH: OPERATORS, DELETE: OPERATORS },
  '/v1/images/:id/restore': { POST: OPERATORS },
  '/v1/images/:id/bindings/:instance': { PUT: OPERATORS, DELETE: OPERATORS },
  '/v1/images/:id/grants/:subject': { PUT: OPERATORS, DELETE: OPERATORS },
  '/v1/images/:id/content': { GET: [...VIEWERS, 'download link'], HEAD: [...VIEWERS, 'download link'] },
  '/v1/images/:id/manifest': { GET: VIEWERS_AND_GRANT, HEAD: VIEWERS_AND_GRANT },
  '/v1/images/:id/exports': { POST: OPERATORS },
  '/v1/exports': { GET: VIEWERS, HEAD: VIEWERS },
  '/v1/exports/:id': { GET: VIEWERS, HEAD: VIEWERS, DELETE: OPERATORS },
  // And the link of an export, which is none of the callers here.
  '/v1/exports/:id/content': { GET: VIEWERS, HEAD: VIEWERS },
  '/v1/unique-size': { POST: VIEWERS },
  '/v1/uploads': {
    // A link shows what it is for, and how far its upload is.
    GET: [...VIEWERS, 'fresh upload link', 'used upload link'],
    HEAD: [...VIEWERS, 'fresh upload link', 'used upload link'],
    POST: [...UPLOADERS, 'fresh upload link'],
  },
  '/v1/usage': { GET: OPERATORS, HEAD: OPERATORS },
  '/v1/uploads/:id': {
    GET: [...UPLOADERS, 'used upload link'],
    HEAD: [...UPLOADERS, 'used upload link'],
    PATCH: [...UPLOADERS, 'used upload link'],
    DELETE: [...UPLOADERS, 'used upload link'],
  },
  '/v1/slices/missing': { POST: VIEWERS },
  '/v1/slices/fetch': { POST: VIEWERS_AND_GRANT },
  '/v1/sync': { POST: OPERATORS },
  '/v1/sync/grants': { POST: OPERATORS },
  '/v1/host-keys': { GET: OPERATORS, HEAD: OPERATORS },
  '/v1/host-keys/:host': { DELETE: OPERATORS },
  '/v1/tasks': { GET: VIEWERS, HEAD: VIEWERS },
  '/v1/tasks/:id': { GET: VIEWERS, HEAD: VIEWERS },
  // Uploaders may cancel and retry their own imports.
  '/v1/tasks/:id/cancel': { POST: UPLOADERS },
  '/v1/tasks/:id/retry': { POST: UPLOADERS },
  '/v1/tasks/:id/pause': { POST: OPERATORS },
  '/v1/tasks/:id/resume': { POST: OPERATORS },
  '/v1/operating-systems': { GET: VIEWERS, HEAD: VIEWERS },
  '/v1/schedules': { GET: VIEWERS, HEAD: VIEWERS },
  '/v1/schedules/:name': { PATCH: OPERATORS },
  '/v1/schedules/:name/run': { POST: OPERATORS },
  '/v1/evidence': { GET: OPERATORS, HEAD: OPERATORS },
  '/v1/events': { GET: VIEWERS, HEAD: VIEWERS },
  '/v1/tokens': { GET: ADMINS, HEAD: ADMINS, POST: ADMINS },
  '/v1/tokens/:id': { DELETE: ADMINS },
  '/v1/tokens/:id/rotate': { POST: ADMINS },
  '/v1/links': { GET: UPLOADERS, HEAD: UPLOADERS, POST: UPLOADERS },
  '/v1/links/:id': { GET: UPLOADERS, HEAD: UPLOADERS, DELETE: UPLOADERS },
  '/metrics': { GET: VIEWERS, HEAD: VIEWERS },
  '/v1/files': { GET: VIEWERS, HEAD: VIEWERS },
  '/v1/files/content': { GET: OPERATORS, HEAD: OPERATORS },
  '/v1/openapi.json': { GET: VIEWERS, HEAD: VIEWERS },
  '/': { GET: VIEWERS, HEAD: VIEWERS },
  '/page/images': { GET: VIEWERS, HEAD: VIEWERS },
  '/page/images/:id': { GET: VIEWERS, HEAD: VIEWERS },
  '/page/uploads': { GET: VIEWERS, HEAD: VIEWERS },
  '/page/tasks': { GET: VIEWERS, HEAD: VIEWERS },
  '/page/events': { GET: VIEWERS, HEAD: VIEWERS },
  // The form that takes a token.
  '/page/enter': { POST: EVERYBODY },
  '/page/leave': { POST: VIEWERS },
  '/page/style.css': { GET: EVERYBODY, HEAD: EVERYBODY },
  '/page/icon.svg': { GET: EVERYBODY, HEAD: EVERYBODY },
}

/** Methods that a client may send, and one that no path has. */
export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/** Returns the callers of a route; `path` as a pattern with `:id` or with `{id}`. Throws an Error when the table does not have the route. */
export function callersOf(method: string, path: string): readonly Caller[] {
  const callers = ACCESS_TABLE[path.replaceAll(/\{(\w+)\}/g, ':$1')]?.[method]
  if (!callers) throw new Error(`the table has no callers of ${method} ${path}`)
  return callers
}

/** Values of X-HTTP-Method-Override on a POST, with the method that each of them names. Undefined: the request is refused. */
export const OVERRIDES: Readonly<Record<string, string | undefined>> = {
  GET: 'GET',
  HEAD: 'HEAD',
  POST: 'POST',
  PUT: 'PUT',
  PATCH: 'PATCH',
  DELETE: 'DELETE',
  patch: 'PATCH',
  ' Delete ': 'DELETE',
  OPTIONS: undefined,
  TRACE: undefined,
  'PATCH, DELETE': undefined,
  '': undefined,
  '<junk>': undefined,
}
