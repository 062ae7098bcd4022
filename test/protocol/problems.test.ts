// The statuses that clients rely on, as literals.

import { expect, test } from 'bun:test'
import { PROBLEMS } from '../../protocol/problems.ts'

const CODES_BY_STATUS: Readonly<Record<number, string>> = {
  400: 'invalid-input length-mismatch malformed-request outside-mount-path upload-complete upload-cut',
  401: 'unauthenticated',
  403: 'feature-disabled grant-bound forbidden kind-not-accepted link-expired peer-not-allowed source-not-allowed upload-final',
  404: 'not-found',
  405: 'method-not-allowed',
  408: 'request-timeout',
  409: 'already-exported cancelled conflict host-key-mismatch image-bound image-protected no-network-address offset-mismatch slice-missing source-changed store-disabled tail-not-empty virtual-disk wrong-status',
  410: 'upload-expired',
  412: 'precondition-failed unsupported-version',
  413: 'payload-too-large',
  414: 'target-too-long',
  415: 'unsupported-media-type',
  416: 'range-not-satisfiable',
  417: 'expectation-failed',
  422: 'digest-mismatch format-mismatch unsafe-image unsupported-format',
  423: 'upload-locked',
  429: 'limit-reached',
  431: 'headers-too-large',
  460: 'checksum-mismatch',
  500: 'data-corrupt internal',
  501: 'not-implemented',
  502: 'grant-ended origin-unreachable peer-invalid peer-refused peer-unreachable protocol-unsupported source-refused source-unreachable',
  503: 'interrupted shutting-down store-unavailable',
  505: 'http-version-not-supported',
  507: 'insufficient-storage',
}

test('every problem has the status that clients rely on', () => {
  const expected = Object.entries(CODES_BY_STATUS).flatMap(([status, codes]) => codes.split(' ').map((code) => [code, Number(status)] as const))
  const statuses: readonly (readonly [string, number])[] = Object.entries(PROBLEMS).map(([code, { status }]) => [code, status])
  expect(Object.fromEntries(statuses)).toEqual(Object.fromEntries(expected))
})
