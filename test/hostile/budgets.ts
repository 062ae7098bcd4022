// The most that one request of each kind may cost, and the kinds of each request: docs/internals/request-costs.md as data. The suites in
// this folder drive every kind to its limit.

const MIB = 1024 * 1024
const MEMORY_BYTES = 64 * MIB
const LOOP_MS = 50

export interface Budget {
  /** Requests of this kind, as `METHOD path` of the OpenAPI document. One request may be of several kinds, by its body. */
  readonly operations: readonly string[]
  /** Memory that one request may hold, in bytes. */
  readonly memoryBytes: number
  /** Bytes that one request may leave on disk; `promised` when the space above the reserve must be promised first. */
  readonly disk: number | 'promised'
  /** Longest time that one request may block the event loop, in milliseconds. */
  readonly loopMs: number
}

function budget(operations: readonly string[], costs: Partial<Omit<Budget, 'operations'>> = {}): Budget {
  return { operations, memoryBytes: MEMORY_BYTES, disk: 0, loopMs: LOOP_MS, ...costs }
}

/** Every kind of request. */
export const BUDGETS = {
  public: budget(
    ['GET /v1/health', 'OPTIONS /v1/uploads', 'OPTIONS /v1/uploads/{id}', 'GET /page/style.css', 'GET /page/icon.svg', 'POST /page/enter', 'POST /page/leave'],
    { memoryBytes: MIB },
  ),
  read: budget(
    [
      'GET /v1/store',
      'GET /v1/images/{id}',
      'GET /v1/exports/{id}',
      'GET /v1/tasks/{id}',
      'GET /v1/schedules',
      'GET /v1/openapi.json',
      'GET /metrics',
      'HEAD /v1/uploads/{id}',
      'GET /v1/uploads/{id}',
      'GET /v1/links/{id}',
    ],
    { memoryBytes: 8 * MIB },
  ),
  list: budget([
    'GET /v1/images',
    'GET /v1/exports',
    'GET /v1/uploads',
    'GET /v1/media-groups',
    'GET /v1/host-keys',
    'GET /v1/operating-systems',
    'GET /v1/tasks',
    'GET /v1/events',
    'GET /v1/tokens',
    'GET /v1/links',
    'GET /v1/files',
  ]),
  page: budget(['GET /', 'GET /page/images', 'GET /page/images/{id}', 'GET /page/uploads', 'GET /page/tasks', 'GET /page/events']),
  evidence: budget(['GET /v1/evidence']),
  write: budget(
    [
      'PATCH /v1/store',
      'POST /v1/store/enable',
      'POST /v1/store/disable',
      'POST /v1/store/reconnect',
      'POST /v1/store/cleanup',
      'POST /v1/store/reconcile',
      'PATCH /v1/images/{id}',
      'DELETE /v1/images/{id}',
      'POST /v1/images/{id}/restore',
      'PUT /v1/images/{id}/bindings/{instance}',
      'DELETE /v1/images/{id}/bindings/{instance}',
      'PUT /v1/images/{id}/grants/{subject}',
      'DELETE /v1/images/{id}/grants/{subject}',
      'POST /v1/media-groups',
      'PATCH /v1/media-groups/{name}',
      'DELETE /v1/media-groups/{name}',
      'DELETE /v1/host-keys/{host}',
      'POST /v1/tasks/{id}/cancel',
      'POST /v1/tasks/{id}/retry',
      'POST /v1/tasks/{id}/pause',
      'POST /v1/tasks/{id}/resume',
      'PATCH /v1/schedules/{name}',
      'POST /v1/schedules/{name}/run',
      'POST /v1/tokens',
      'DELETE /v1/tokens/{id}',
      'DELETE /v1/exports/{id}',
      'POST /v1/tokens/{id}/rotate',
      'POST /v1/links',
      'DELETE /v1/links/{id}',
      'POST /v1/sync/grants',
    ],
    { memoryBytes: 16 * MIB, disk: 2 * MIB },
  ),
  'event stream': budget(['GET /v1/events'], { memoryBytes: 2 * MIB }),
  content: budget(['GET /v1/images/{id}/content', 'HEAD /v1/images/{id}/content', 'GET /v1/exports/{id}/content', 'HEAD /v1/exports/{id}/content'], {
    disk: 'promised',
  }),
  usage: budget(['GET /v1/usage']),
  'unique size': budget(['POST /v1/unique-size'], { memoryBytes: 96 * MIB }),
  file: budget(['GET /v1/files/content', 'HEAD /v1/files/content'], { memoryBytes: 32 * MIB }),
  manifest: budget(['GET /v1/images/{id}/manifest']),
  'slices missing': budget(['POST /v1/slices/missing'], { memoryBytes: 16 * MIB }),
  'slices fetch': budget(['POST /v1/slices/fetch']),
  'upload creation': budget(['POST /v1/uploads', 'DELETE /v1/uploads/{id}'], { memoryBytes: 16 * MIB, disk: 'promised' }),
  'upload bytes': budget(['POST /v1/uploads', 'PATCH /v1/uploads/{id}'], { disk: 'promised' }),
  'upload slices': budget(['PATCH /v1/uploads/{id}'], { disk: 'promised' }),
  concatenation: budget(['POST /v1/uploads'], { disk: 'promised' }),
  export: budget(['POST /v1/images/{id}/exports'], { disk: 'promised' }),
  sync: budget(['POST /v1/sync'], { disk: 'promised' }),
  import: budget(['POST /v1/images'], { memoryBytes: 96 * MIB, disk: 'promised' }),
  connection: budget([], { memoryBytes: 32 * MIB }),
} satisfies Record<string, Budget>

export type RequestKind = keyof typeof BUDGETS
