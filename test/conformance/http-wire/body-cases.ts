// The framing of bodies, and the expectation 100-continue.

import type { WireCase } from './case.ts'

const PATCH = 'PATCH {upload} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nTus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\n'
const AT_START = `${PATCH}Upload-Offset: 0\r\n`
const CHUNKED = `${AT_START}Transfer-Encoding: chunked\r\n`
const JSON_CHUNKED = 'POST /v1/tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n'
const HEALTH = 'GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n'

function refused(rule: string, name: string, send: string): WireCase {
  return { rule, name, send: [send], statuses: [400], closes: true, problem: 'malformed-request' }
}

export const BODY_CASES: readonly WireCase[] = [
  { rule: 'RFC 9112 §6.2', name: 'a body with a length', send: [`${AT_START}Content-Length: 10\r\n\r\n0123456789`], statuses: [204], closes: false },
  { rule: 'RFC 9112 §7.1', name: 'a body in chunks', send: [`${CHUNKED}\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n`], statuses: [204], closes: false },
  {
    rule: 'RFC 9112 §7.1',
    name: 'the size of a chunk with zeros and letters',
    send: [`${CHUNKED}\r\n00A\r\n0123456789\r\n000\r\n\r\n`],
    statuses: [204],
    closes: false,
  },
  { rule: 'RFC 9112 §7.1.1', name: 'chunk extensions', send: [`${CHUNKED}\r\nA;a=b;c="d;e"\r\n0123456789\r\n0;f\r\n\r\n`], statuses: [204], closes: false },
  {
    rule: 'RFC 9112 §7.1.2',
    name: 'trailers',
    send: [`${CHUNKED}Trailer: X-Checksum\r\n\r\nA\r\n0123456789\r\n0\r\nX-Checksum: 1\r\n\r\n`],
    statuses: [204],
    closes: false,
  },
  {
    rule: 'RFC 9112 §9.3.2',
    name: 'pipelined bodies and requests',
    send: [`${AT_START}Content-Length: 10\r\n\r\n0123456789${HEALTH}${PATCH}Upload-Offset: 10\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HEALTH}`],
    statuses: [204, 200, 204, 200],
    closes: false,
  },
  {
    rule: 'RFC 9110 §8.6',
    name: 'a repeated equal length',
    send: [`${AT_START}Content-Length: 10\r\nContent-Length: 10\r\n\r\n0123456789`],
    statuses: [204],
    closes: false,
  },
  {
    rule: 'RFC 9110 §9.3.1',
    name: 'GET with a body',
    send: [`GET /v1/health HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET ${HEALTH}`],
    statuses: [200, 200],
    closes: false,
  },
  refused('RFC 9112 §6.3', 'Content-Length and Transfer-Encoding', `${CHUNKED}Content-Length: 10\r\n\r\n0\r\n\r\n`),
  refused('RFC 9112 §6.3', 'Transfer-Encoding after Content-Length', `${AT_START}Content-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
  ...['3\r\nContent-Length: 4', '3, 4', '+3', '-3', '0x3', '3 3', '', '99999999999999999999999'].map((length) =>
    refused('RFC 9112 §6.3', `Content-Length: ${length.replaceAll('\r\n', ' and ')}`, `${AT_START}Content-Length: ${length}\r\n\r\nabc${HEALTH}`),
  ),
  ...['identity', 'chunked, identity', 'xchunked', 'chunked\r\nTransfer-Encoding: chunked'].map((coding) =>
    refused('RFC 9112 §6.1', `Transfer-Encoding: ${coding.replaceAll('\r\n', ' and ')}`, `${AT_START}Transfer-Encoding: ${coding}\r\n\r\n0\r\n\r\n`),
  ),
  refused('RFC 9112 §5.1', 'white space before the colon of Transfer-Encoding', `${AT_START}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`),
  {
    rule: 'RFC 9112 §6.1',
    name: 'an unknown transfer coding',
    send: [`${AT_START}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    statuses: [501],
    closes: true,
    problem: 'not-implemented',
  },
  ...[
    ['a size that is no number', 'zz\r\nabc\r\n0\r\n\r\n'],
    ['a negative size', '-3\r\nabc\r\n0\r\n\r\n'],
    ['a size with 0x', '0x3\r\nabc\r\n0\r\n\r\n'],
    ['a size over 2^64', 'FFFFFFFFFFFFFFFFF3\r\nabc\r\n0\r\n\r\n'],
    ['a size that ends with LF', '3\nabc\r\n0\r\n\r\n'],
    ['an extension that ends with LF', '3;a\nabc\r\n0\r\n\r\n'],
    ['a chunk that is longer than its size', '3\r\nabcX\r\n0\r\n\r\n'],
  ].flatMap(([name = '', body]): WireCase[] => [
    // The bytes before the error are kept, and the answer has their offset.
    { rule: 'RFC 9112 §7.1', name, send: [`${CHUNKED}\r\n${body}${HEALTH}`], statuses: [400], closes: true, problem: 'upload-cut' },
    refused('RFC 9112 §7.1', `${name}, in JSON`, `${JSON_CHUNKED}${body}${HEALTH}`),
  ]),
  {
    rule: 'RFC 9110 §10.1.1',
    name: '100 Continue is sent when the application reads the body',
    send: [`${AT_START}Content-Length: 10\r\nExpect: 100-continue\r\n\r\n`, '0123456789'],
    statuses: [100, 204],
    closes: false,
  },
  {
    rule: 'RFC 9110 §10.1.1',
    name: 'the expectation in capitals',
    send: [`${CHUNKED}Expect: 100-Continue\r\n\r\n`, 'A\r\n0123456789\r\n0\r\n\r\n'],
    statuses: [100, 204],
    closes: false,
  },
  {
    rule: 'RFC 9110 §10.1.1',
    name: 'no token: 401 without 100',
    send: ['POST /v1/tokens HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n'],
    statuses: [401],
    closes: true,
    problem: 'unauthenticated',
  },
  {
    rule: 'RFC 9110 §10.1.1',
    name: 'a wrong offset: 409 without 100',
    send: [`${PATCH}Upload-Offset: 5\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`],
    statuses: [409],
    closes: true,
    headers: ['upload-offset: 0'],
    problem: 'offset-mismatch',
  },
  {
    rule: 'RFC 9110 §10.1.1',
    name: 'a body over the length of its upload: 413 without 100',
    send: [`${AT_START}Content-Length: 11\r\nExpect: 100-continue\r\n\r\n`],
    statuses: [413],
    closes: true,
    problem: 'payload-too-large',
  },
  {
    rule: 'RFC 9110 §10.1.1',
    name: 'JSON over the limit: 413 without 100',
    send: ['POST /v1/tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: 9000000\r\nExpect: 100-continue\r\n\r\n'],
    statuses: [413],
    closes: true,
    problem: 'payload-too-large',
  },
  {
    rule: 'RFC 9110 §10.1.1',
    name: 'HTTP/1.0 gets no 100',
    send: [`${AT_START.replace('HTTP/1.1', 'HTTP/1.0')}Content-Length: 10\r\nExpect: 100-continue\r\n\r\n0123456789`],
    statuses: [204],
    closes: true,
  },
  {
    rule: 'RFC 9110 §10.1.1',
    name: 'another expectation',
    send: [`${AT_START}Content-Length: 10\r\nExpect: 200-ok\r\n\r\n`],
    statuses: [417],
    closes: true,
    problem: 'expectation-failed',
  },
]
