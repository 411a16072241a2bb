// A real OpenID provider for one test: `node provider.mjs FOLDER`, FOLDER having node_modules/oidc-provider.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const folder = process.argv[2];
const entry = createRequire(`${folder}/`).resolve("oidc-provider");
const { default: Provider } = await import(pathToFileURL(entry).href);

const server = createServer((request, response) => answer(request, response));
let answer;

server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      { client_id: "app", redirect_uris: ["https://app.example/back"], token_endpoint_auth_method: "none" },
      { client_id: "console", redirect_uris: ["http://127.0.0.1:8765/console/signed-in"], token_endpoint_auth_method: "none" },
      {
        client_id: "machine",
        client_secret: "the-machines-secret",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    scopes: ["openid", "tools:read", "tools:call"],
    cookies: { keys: ["a key for cookies of one test"] },
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          scope: "tools:read tools:call",
          audience: resource,
          accessTokenFormat: "jwt",
          accessTokenTTL: 600,
        }),
      },
    },
  });
  answer = provider.callback();
  console.log(issuer);
});
