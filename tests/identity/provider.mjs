// An OpenID Connect provider on a free port: signs access tokens for one resource, and rotates its keys when told to.
import { createServer } from "node:http";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const modules = createRequire(`${process.argv[2]}/`);
const { default: Provider } = await import(pathToFileURL(modules.resolve("oidc-provider")).href);

const AUDIENCE = "factory";
const key = () => ({
  ...generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" }),
  kid: randomUUID(),
  alg: "ES256",
  use: "sig",
});
const keys = [key()];
const clients = [
  {
    client_id: "reporter",
    client_secret: "a-secret-of-the-test",
    grant_types: ["client_credentials"],
    response_types: [],
    redirect_uris: [],
    id_token_signed_response_alg: "ES256",
  },
];

let handler;
const build = (issuer) => {
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys: [...keys].reverse() },
    scopes: ["factory.read", "factory.write"],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => "urn:factory",
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: "factory.read factory.write",
          audience: AUDIENCE,
          accessTokenTTL: 300,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });
  handler = provider.callback();
};

const server = createServer((request, response) => {
  if (request.url === "/test/rotate") {
    keys.push(key());
    build(issuer);
    response.end("{}");
  } else if (request.url === "/test/revoke") {
    clients.length = 0;
    build(issuer);
    response.end("{}");
  } else {
    handler(request, response);
  }
});
server.listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
build(issuer);
console.log(issuer);
