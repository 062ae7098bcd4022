// Preloaded before a program (`bun --preload`): switches from root to the user SLIPWAY_TEST_UID. The runtime may be installed in a folder that only
// root can read, so it must be started as root.

const uid = Number(process.env['SLIPWAY_TEST_UID'])
process.setgroups?.([])
process.setgid?.(uid)
process.setuid?.(uid)
