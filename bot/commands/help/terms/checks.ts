// The health checks of an agent: what each measures, what is normal, and what to do. docs/operations.md has the steps in full.

import type { Terms } from './term.ts'

/** Impact of a check that is not ok, besides its explanation. */
export const CHECK_TERMS: Terms = {
  process: {
    means:
      'Longest delay of the event loop of the agent in the last 10 to 20 seconds, how often it was late by 250 ms or more, and the memory that the agent uses.',
    unit: 'milliseconds and bytes',
    normal: 'Late at most twice; failed from a delay of 5 s.',
    action: 'Check load and memory of the node (top, vmstat 1). If the delay stays, restart the agent; nothing acknowledged is lost.',
  },
  'mount-path': {
    means: 'Whether the mount path answers within 2 s and holds the store that was opened at the start. The store is Error while it fails.',
    normal: 'The path answered, in a few milliseconds.',
    action: 'Mount the file system of the store again, then run store reconnect S.',
  },
  'mount-writable': {
    means: 'Whether a small file can be written in the mount path and removed again.',
    normal: 'writable',
    action: 'For ENOSPC make room: image purge, then store cleanup S. Else check on the node whether the path is mounted read-only (mount, ls -ld, dmesg).',
  },
  'free-space': {
    means: 'Free bytes of the file system, the bytes above the reserve that new images may use, and the date when they will be used up.',
    unit: 'bytes',
    normal: 'More than twice the reserve is free, and the store is not full within 7 days. Below the reserve it fails and new images are refused.',
    action: 'Empty the recycle bin with image purge --bin store=S, purge single images with image purge I…, then run store cleanup S, or add space.',
  },
  'index-database': {
    means: 'Whether the index database, which knows where each slice is, answers and is whole. The store is Error while it does not answer.',
    normal: 'open',
    action: 'While it is rebuilt, wait. If it fails, stop the agent and run slipway-agent recover, which rebuilds it from the packs.',
  },
  'last-scrub': {
    means: 'Age and findings of the last scrub, which reads and verifies every slice.',
    normal: 'Not older than 15 days, and nothing found.',
    action: 'Run it with schedule run S scrub. Sync images with damaged slices again from a store that has them, and check the disk (smartctl, dmesg).',
  },
  images: {
    means: 'Images outside the recycle bin whose manifest, metadata or slices are damaged.',
    unit: 'images',
    normal: 'no damaged image',
    action: 'List them with image list status=degraded and image list status=error; then sync, restore or delete each as its reason says.',
  },
  quarantine: {
    means: 'Slices that failed verification and were set aside. Images that need them are degraded until the slices are repaired.',
    unit: 'slices',
    normal: 'empty',
    action: 'List the images with image list status=degraded and sync them again from a store that has them. Check the disk (smartctl, dmesg).',
  },
  schedules: {
    means: 'Schedules (cleanup, scrub, expire) that are more than 5 minutes late, or whose last run failed.',
    normal: 'on time',
    action: 'Read the reason in task list state=failed, fix it, and run the schedule by hand: schedule run S cleanup.',
  },
  tasks: {
    means: 'Tasks that run and that wait in the store.',
    unit: 'tasks',
    normal: 'Fewer than 100 wait.',
    action: 'Look at task list state=running; cancel what is not needed with task cancel T.',
  },
  clock: {
    means: 'Whether the clock of the node jumped by more than 5 s or went back. Retention, schedules and links depend on it.',
    unit: 'time in UTC',
    normal: 'No jump of more than 5 s.',
    action: 'Check time synchronisation on the node (timedatectl, chronyc tracking).',
  },
  origins: {
    means: 'How many of the origins of the configuration answer. The check is absent without origins.',
    unit: 'stores',
    normal: 'At least one answers.',
    action: 'Look at store show S, which names their states; check the network to them and that their agents run.',
  },
  'sync-partners': {
    means: 'How many of the stores answer that this one synced with and may repair its slices from.',
    unit: 'stores',
    normal: 'At least one answers, or there are none.',
    action: 'Look at store show S, which names their states; check the network to them and that their agents run.',
  },
  certificate: {
    means: 'When the TLS certificate in use expires; without TLS, whether plain HTTP reaches beyond the node.',
    unit: 'time in UTC',
    normal: 'More than 14 days left, or plain HTTP on loopback only.',
    action: 'Replace the files of tls.cert and tls.key, then run systemctl reload on the unit of the agent.',
  },
}
