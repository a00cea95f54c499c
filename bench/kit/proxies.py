"""What Narrows is measured beside: haproxy, nginx and Envoy, each with as many threads or workers as there are
processors, kept-alive connections on both sides and no access log. haproxy, nginx and plain Envoy forward and do
nothing else; governed Envoy does what of Narrows' work it can: a verified and then cached token, the body parsed, the
caller's group, method and tool held to rules. It keeps no record."""

import json
import os

from . import machine, tokens

HAPROXY = """
global
  nbthread {threads}
  maxconn 4096
defaults
  mode http
  # Without it the head of an event stream waits for 200 ms.
  option http-no-delay
  timeout connect 5s
  timeout client 10m
  timeout server 10m
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  http-reuse always
  server upstream 127.0.0.1:{upstream}
"""

NGINX = """
{user}
worker_processes {threads};
daemon off;
pid {out}/nginx.pid;
error_log {out}/nginx.err warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {out}/nginx-body;
  proxy_temp_path {out}/nginx-proxy;
  fastcgi_temp_path {out}/nginx-fastcgi;
  uwsgi_temp_path {out}/nginx-uwsgi;
  scgi_temp_path {out}/nginx-scgi;
  keepalive_requests 1000000000;
  upstream back {{
    server 127.0.0.1:{upstream};
    keepalive 256;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 10m;
    }}
  }}
}}
"""


def haproxy(processes, port, upstream):
    file = processes.directory / "haproxy.cfg"
    file.write_text(HAPROXY.format(threads=os.cpu_count(), port=port, upstream=upstream))
    return processes.start("haproxy", ["haproxy", "-db", "-f", file])


def nginx(processes, port, upstream):
    file = processes.directory / "nginx.conf"
    # As root it would give its workers to another user, who can't read the directory.
    user = "user root;" if os.geteuid() == 0 else ""
    file.write_text(NGINX.format(
        threads=os.cpu_count(), port=port, upstream=upstream, out=processes.directory, user=user))
    return processes.start("nginx", ["nginx", "-c", file, "-e", processes.directory / "nginx.err"])


def envoy(processes, port, upstream, binary, issuer=None):
    """Plain, or with an issuer governed."""
    name = "envoy-governed" if issuer else "envoy"
    file = processes.directory / f"{name}.json"
    file.write_text(json.dumps(envoy_configuration(port, upstream, issuer), indent=2))
    return processes.start(name, [
        binary, "-c", file, "--concurrency", os.cpu_count(), "--disable-hot-restart", "--log-level", "error"])


def envoy_configuration(port, upstream, issuer):
    filters = [*governing(issuer)] if issuer else []
    manager = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "stream_idle_timeout": "0s",
        "http_filters": [*filters, filter_of("router", "router.v3.Router")],
        "route_config": {"virtual_hosts": [{
            "name": "bench", "domains": ["*"],
            # An event stream has no end that a timeout could know.
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "back", "timeout": "0s"}}],
        }]},
    }
    most = {"max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}
    return {"static_resources": {
        "listeners": [{
            "name": "bench", "address": address(port),
            "filter_chains": [{"filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
        }],
        "clusters": [{
            "name": "back", "type": "STATIC", "circuit_breakers": {"thresholds": [most]},
            "load_assignment": {"cluster_name": "back", "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]},
        }],
    }}


EXTENSIONS = "type.googleapis.com/envoy.extensions"


def governing(issuer):
    yield filter_of("jwt_authn", "jwt_authn.v3.JwtAuthentication", {
        "providers": {"bench": {
            "issuer": issuer.url, "audiences": [tokens.AUDIENCE], "payload_in_metadata": "payload",
            "local_jwks": {"inline_string": issuer.keys},
            # Without it each request costs a signature.
            "jwt_cache_config": {"jwt_cache_size": 100},
        }},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
    })
    yield filter_of("mcp", "mcp.v3.Mcp", {"traffic_mode": "REJECT_NO_MCP"})
    caller = metadata("jwt_authn", ["payload", "groups"],
                      {"list_match": {"one_of": {"string_match": {"exact": "bench"}}}})
    method = [metadata("mcp", ["method"], {"string_match": {"exact": name}})
              for name in ("initialize", "notifications/initialized", "tools/list")]
    tool = any_of([metadata("mcp", ["params", "name"], {"string_match": match}) for match in [
        {"exact": "echo"}, {"exact": "big"}, {"exact": "sse"}, {"prefix": "read_"}]])
    call = {"and_rules": {"rules": [metadata("mcp", ["method"], {"string_match": {"exact": "tools/call"}}), tool]}}
    listen = {"header": {"name": ":method", "string_match": {"exact": "GET"}}}
    yield filter_of("rbac", "rbac.v3.RBAC", {"rules": {"action": "ALLOW", "policies": {
        "callers": {"permissions": [any_of([call, *method, listen])], "principals": [caller]}}}})


def any_of(rules):
    return {"or_rules": {"rules": rules}}


def metadata(filter, path, value):
    return {"sourced_metadata": {"metadata_matcher": {
        "filter": f"envoy.filters.http.{filter}", "path": [{"key": key} for key in path], "value": value}}}


def filter_of(name, kind, configuration=None):
    typed = {"@type": f"{EXTENSIONS}.filters.http.{kind}", **(configuration or {})}
    return {"name": f"envoy.filters.http.{name}", "typed_config": typed}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
