// `store add` with real agents: the test of the connection over TLS, adding the same store twice, and a store that comes back at another address.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { botProgram } from '../../support/agents/programs.ts'
import { run } from '../../support/images/small-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { requireTool } from '../../support/require.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(120_000)

interface Ran {
  readonly code: number
  readonly value: {
    readonly error?: { readonly detail: string; readonly action: string; readonly step?: string }
    readonly name?: string
    readonly url?: string
    readonly steps?: readonly { readonly step: string; readonly state: string }[]
  }
}

/** Runs one command of the bot as a process with `--json`. */
async function bot(home: string, environment: Readonly<Record<string, string>>, ...words: string[]): Promise<Ran> {
  const child = Bun.spawn([...botProgram(), ...words, '--json'], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_HOME: home, ...environment },
  })
  const text = await new Response(child.stdout).text()
  return { code: await child.exited, value: JSON.parse(text) as Ran['value'] }
}

requireTool('openssl', 'openssl')('an authority that the bot is told of makes the TLS step pass', async () => {
  await using home = await createTemporaryFolder()
  await using folder = await createTemporaryFolder()
  const [key, cert] = [folder.file('key.pem'), folder.file('cert.pem')]
  const subject = ['-subj', '/CN=edge-a', '-addext', 'subjectAltName=DNS:localhost']
  await run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '400', ...subject)
  await using agent = await startAgent(folder.file('agent'), { config: `[tls]\ncert = "${cert}"\nkey = "${key}"` })
  const url = `https://localhost:${new URL(agent.url).port}`
  const words = ['store', 'add', `url=${url}`, `token=${TEST_ADMIN_TOKEN}`, '--test']

  const refused = await bot(home.path, {}, ...words)
  expect(refused).toMatchObject({ code: 1, value: { error: { step: 'TLS', detail: expect.stringContaining('No authority that the bot trusts') } } })
  const passed = await bot(home.path, { NODE_EXTRA_CA_CERTS: cert }, ...words)
  expect(passed.code).toBe(0)
  expect(passed.value.steps?.map(({ step }) => step)).toEqual(['URL', 'DNS', 'TCP', 'TLS', 'agent', 'token', 'version', 'clock', 'space'])
  // On a busy machine the agent is degraded, which is a warning.
  expect(passed.value.steps?.filter(({ step, state }) => state !== 'passed' && step !== 'agent')).toEqual([])
})

test('a store has one record: the same values are there already, and its UUID is recognised at another address and under another name', async () => {
  await using home = await createTemporaryFolder()
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  const add = (...changed: string[]) =>
    bot(
      home.path,
      {},
      'store',
      'add',
      'zone=zone-1',
      ...['name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`].map((word) => changed.find((other) => other.startsWith(word.slice(0, 4))) ?? word),
    )

  expect((await add()).code).toBe(0)
  expect(await add()).toMatchObject({ code: 0, value: { name: 'edge-a', url: agent.url } })
  const wrong = await add('token=wrong')
  expect(wrong).toMatchObject({ code: 1, value: { error: { detail: expect.stringContaining('It differs: the token is another one.') } } })
  const { id } = await agent.client.store.get()
  const before = agent.url
  const renamed = await add('name=edge-z')
  expect(renamed).toMatchObject({
    code: 1,
    value: {
      error: {
        detail: `This store is registered already, as edge-a at ${before}: it has the same UUID ${id}. Nothing was changed.`,
        action: 'Use the name edge-a. For the new name: store edit edge-a name=edge-z.',
      },
    },
  })

  const elsewhere = `http://localhost:${new URL(before).port}`
  const moved = await add('name=edge-z', `url=${elsewhere}`)
  expect(moved.code).toBe(1)
  expect(moved.value.error?.detail).toBe(
    `This store is registered already, as edge-a at ${before}: it has the same UUID ${id}. The same store answers at ${elsewhere} now. It differs: url is ${before}, not ${elsewhere}. Nothing was changed.`,
  )
  expect(moved.value.error?.action).toBe(`Change the registration: store edit edge-a url=${elsewhere}. For the new name: store edit edge-a name=edge-z.`)
  expect((await bot(home.path, {}, 'store', 'edit', 'edge-a', `url=${elsewhere}`)).code).toBe(0)
  expect(await add(`url=${elsewhere}`)).toMatchObject({ code: 0, value: { name: 'edge-a', url: elsewhere } })
})
