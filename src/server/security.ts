import type { Request, RequestHandler } from 'express';
import helmet from 'helmet';

import type { Config } from '../config/schema.ts';
import { bearerMatches } from '../core/bearer.ts';
import { RedoubtError } from '../core/errors.ts';

/**
 * Security headers. Pages run scripts of this server only, none of them inline, and ask no other host;
 * an application of `server.app` that needs more sets its own Content-Security-Policy.
 */
export function securityHeaders(): RequestHandler {
  return helmet({
    contentSecurityPolicy: {
      // helmet's own list upgrades http to https, which breaks a server without TLS in front of it.
      useDefaults: false,
      directives: {
        'default-src': ["'self'"],
        'img-src': ["'self'", 'data:'],
        'object-src': ["'none'"],
        'base-uri': ["'none'"],
        'form-action': ["'self'"],
        'frame-ancestors': ["'none'"],
      },
    },
    // Whether the whole host speaks TLS is known to the proxy in front, not to us.
    strictTransportSecurity: false,
  });
}

/** Express' `trust proxy` out of its text: empty, a number of hops, `true`, or addresses. */
export function parseTrustProxy(text: string): boolean | number | string[] {
  const setting = text.trim();
  if (setting === '' || setting === 'false') return false;
  if (setting === 'true') return true;
  if (/^\d+$/.test(setting)) return Number(setting);
  return setting.split(',').map((address) => address.trim());
}

/** Whether the demo application is served. */
export function isDemoOn({ env, server }: Config): boolean {
  return server.demo === 'yes' || (server.demo === 'auto' && env !== 'production');
}

/**
 * Guards `/v1`: a bearer token where one is set; without one open to programs outside production,
 * and off in production.
 */
export function requireToken(config: Config): RequestHandler {
  const { apiToken } = config.server;
  const fromOwnPage = refuseForeignPages(config);
  return (request, response, next) => {
    if (apiToken === '') {
      if (config.env === 'production') throw new RedoubtError('ERR_API_OFF');
      fromOwnPage(request, response, next);
    } else if (!bearerMatches(request.headers.authorization, apiToken)) {
      response.setHeader('WWW-Authenticate', 'Bearer');
      throw new RedoubtError('ERR_UNAUTHORIZED');
    } else {
      next();
    }
  };
}

/** Guards pages that show what `/health` keeps for callers with the token, where `health.details` says so. */
export function requireDetailsToken({ health, server }: Config): RequestHandler {
  return (request, response, next) => {
    if (health.details === 'always' || bearerMatches(request.headers.authorization, server.apiToken)) return next();
    response.setHeader('WWW-Authenticate', 'Bearer');
    throw new RedoubtError('ERR_UNAUTHORIZED');
  };
}

/**
 * Keeps pages of other sites, open in a developer's browser, away from routes that ask for no token:
 * browsers say when a request crosses sites, and a name that was rebound to 127.0.0.1 shows in Host.
 */
export function refuseForeignPages({ server }: Config): RequestHandler {
  // Behind a proxy the Host is whatever the site is called.
  const onLoopback = isLoopback(server.host) && server.trustProxy === '';
  return (request, _response, next) => {
    const crossesSites = request.headers['sec-fetch-site'] === 'cross-site';
    if (crossesSites || (onLoopback && !isLoopback(hostName(request)))) throw new RedoubtError('ERR_FOREIGN_PAGE');
    next();
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** Not `request.hostname`: X-Forwarded-Host is for a proxy to say, and what counts here is what the browser asked. */
function hostName(request: Request): string {
  return (request.headers.host ?? 'localhost').replace(/:\d+$/, '').toLowerCase();
}
