// The Slack app as the bot needs it: its commands, scopes and settings. The bot listens to what is named here, and `slack manifest` prints it for Slack.

/** A slash command of the app. Slack replaces `@name` and `#channel` by ids where `escapes` is true. */
export interface SlashCommand {
  readonly name: string
  readonly description: string
  readonly hint: string
  readonly escapes: boolean
}

/** The slash commands that the bot answers. */
export const SLASH_COMMANDS: readonly SlashCommand[] = [
  { name: 'slipway', description: 'Ask or change image stores', hint: 'help', escapes: true },
  { name: 'store', description: 'Short for /slipway store', hint: 'health', escapes: false },
  { name: 'image', description: 'Short for /slipway image', hint: 'list', escapes: false },
]

/** The scopes of the bot token: it reads neither messages nor files, and writes pictures of charts as files. */
export const BOT_SCOPES: readonly string[] = ['commands', 'chat:write', 'usergroups:read', 'files:write']

/** The events that Slack sends: somebody opens the home tab of the app. */
export const BOT_EVENTS: readonly string[] = ['app_home_opened']

/** The scopes with which people sign in to the page: who they are, and nothing else. */
export const USER_SCOPES: readonly string[] = ['openid', 'profile']

/** The path of Slack's requests in HTTP mode. */
export const REQUEST_PATH = '/slack/events'
/** The path of the page to which Slack sends people who signed in. */
export const SIGNED_IN_PATH = '/enter/slack/callback'

export interface ManifestAddresses {
  /** The address of Slack's requests in HTTP mode; without it the app is for Socket Mode. */
  readonly requests?: string | undefined
  /** The address to which people who signed in to the page are sent back; without it nobody signs in. */
  readonly signedIn?: string | undefined
}

/** Returns the manifest of the app. */
export function appManifest({ requests: requestUrl, signedIn }: ManifestAddresses = {}): Record<string, unknown> {
  const url = requestUrl === undefined ? {} : { url: requestUrl }
  const request = requestUrl === undefined ? {} : { request_url: requestUrl }
  // The options of pickers are asked for at an address of their own.
  const options = requestUrl === undefined ? {} : { message_menu_options_url: requestUrl }
  return {
    display_information: { name: 'Slipway', description: 'Image stores and their health' },
    features: {
      // People read what the bot sends them there, and write commands in any channel.
      app_home: { home_tab_enabled: true, messages_tab_enabled: true, messages_tab_read_only_enabled: true },
      bot_user: { display_name: 'slipway', always_online: true },
      slash_commands: SLASH_COMMANDS.map(({ name, description, hint, escapes }) => ({
        command: `/${name}`,
        ...url,
        description,
        usage_hint: hint,
        should_escape: escapes,
      })),
    },
    oauth_config: signedIn === undefined ? { scopes: { bot: BOT_SCOPES } } : { redirect_urls: [signedIn], scopes: { bot: BOT_SCOPES, user: USER_SCOPES } },
    settings: {
      // Slack asks for no scope for it.
      event_subscriptions: { ...request, bot_events: BOT_EVENTS },
      interactivity: { is_enabled: true, ...request, ...options },
      org_deploy_enabled: false,
      socket_mode_enabled: requestUrl === undefined,
      token_rotation_enabled: false,
    },
  }
}
