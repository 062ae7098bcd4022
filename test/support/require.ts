// Tests that need a program of the system: run where it is installed, skipped by name where it is not, and failed in CI, where
// every package is installed (SLIPWAY_REQUIRE_ALL=1). What a machine cannot do at all is skipped in either case.

import { test } from 'bun:test'

/** `test` of bun:test, as far as a test that may be skipped uses it. */
export type TestFunction = (name: string, body: () => void | Promise<unknown>, timeoutMs?: number) => void

const reported = new Set<string>()

/** Returns whether a program is on the path; prints once which Debian package has it. */
export function hasTool(program: string, debianPackage: string): boolean {
  if (Bun.which(program, { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` }) !== null) return true
  report(`${program} is not installed: apt-get install ${debianPackage}`)
  return false
}

/**
 * `test`, or a test that is skipped because a program is missing.
 *
 * @example
 * const qemuTest = requireTool('qemu-img', 'qemu-utils')
 * qemuTest('converts the download back', async () => { … })
 */
export function requireTool(program: string, debianPackage: string): TestFunction {
  return hasTool(program, debianPackage) ? test : missing(`${program} is missing (Debian package ${debianPackage})`)
}

/** `test`, or a test that is skipped because a program that is not in Debian is missing; `command` installs it. */
export function requireProgram(program: string, command: string): TestFunction {
  if (Bun.which(program) !== null) return test
  report(`${program} is not installed: ${command}`)
  return missing(`${program} is missing (${command})`)
}

/** Like `requireTool` for something that is not a program, such as a library; the caller checks whether it is installed. */
export function requirePackage(isInstalled: boolean, what: string, debianPackage: string): TestFunction {
  if (isInstalled) return test
  report(`${what} is not installed: apt-get install ${debianPackage}`)
  return missing(`${what} is missing (Debian package ${debianPackage})`)
}

/**
 * `test`, or a test that is skipped where the machine cannot run it: no root rights, no loop devices, no containers.
 * Installing packages does not help there, so it is a skip in CI too.
 */
export function requireThat(condition: boolean, reason: string): TestFunction {
  if (condition) return test
  report(reason)
  return test.skip
}

function missing(reason: string): TestFunction {
  if (process.env['SLIPWAY_REQUIRE_ALL'] !== '1') return test.skip
  return (name) =>
    test(name, () => {
      throw new Error(`SLIPWAY_REQUIRE_ALL=1, but ${reason}`)
    })
}

function report(reason: string): void {
  if (reported.has(reason)) return
  reported.add(reason)
  console.error(`skipped: ${reason}`)
}
