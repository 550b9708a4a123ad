"""An installation on several machines: the servers here, behind ways of some
delay; gateways, their balancer and converters on machines of their own."""

import contextlib
import os
import re
import signal
import urllib.parse

from conftest import BUILD, ROOT, wait_for
from local import local_stack
from machines import HERE, Distant, Machine, make_bridge

# Each way, as between machines of one data centre.
DELAY = 0.0005

SERVERS = ("mongo", "mariadb", "rabbitmq", "smtp")
BALANCER = 10
GATEWAYS = (11, 12)  # as nginx-conf/v2m-balancer.conf has them
CONVERTERS = 21      # and on


class Site:
    def __init__(self, stack, run, stay):
        self.stack = stack
        self.run = run
        self.stay = stay
        make_bridge()
        self.env = self.distant(stack.env)
        self.gateways = []
        self.converters = []
        self.url = f"http://10.0.0.{BALANCER}"

    def distant(self, env):
        """The settings as another machine has them."""
        env = {name: value for name, value in env.items()
               if name.startswith(("V2M_", "MYSQL_", "JWT_"))}
        ports = {int(env["MYSQL_PORT"])}
        for name in ("V2M_MONGO_URI", "V2M_AMQP_URL", "V2M_SMTP_URL"):
            address = urllib.parse.urlsplit(env[name])
            ports.add(address.port)
            env[name] = env[name].replace(address.hostname, HERE)
        env["MYSQL_HOST"] = HERE
        for port in ports:
            way = Distant(port, DELAY)
            self.stay.callback(way.close)
        return env

    def machine(self, *arguments, **options):
        machine = Machine(*arguments, **options)
        self.stay.callback(machine.remove)
        return machine

    # nginx

    def nginx(self, machine, text):
        """An nginx with this configuration, its files and those of nginx-conf/
        in a directory of its own."""
        home = self.run / machine.name
        home.mkdir()
        (home / "v2m-web").symlink_to(ROOT / "web")
        for path in (ROOT / "nginx-conf").glob("v2m-*.conf"):
            (home / path.name).write_text(self.placed(path.read_text(), home))
        (home / "tls.conf").write_text(f"listen {machine.address}:80;\n")
        (home / "nginx.conf").write_text(self.placed(text, home))
        machine.start(
            home / "nginx.log", "nginx", "-p", home, "-e", "stderr", "-c",
            home / "nginx.conf", "-g", "user root; worker_processes 2;",
            **self.env)

    @staticmethod
    def placed(text, home):
        text = text.replace("/etc/nginx/v2m/", f"{home}/")
        text = text.replace("modules/ngx_http_v2m_module.so",
                            f"{BUILD}/ngx_http_v2m_module.so")
        text = text.replace("/dev/stdout", f"{home}/access.log")
        return re.sub(r"(\s)/tmp/", rf"\1{home}/", text)

    def start_gateway(self, number):
        """With the configuration of the container."""
        machine = self.machine(f"gateway-{number}", number)
        home = self.run / machine.name
        # as its administrator adds it
        text = (ROOT / "docker" / "gateway" / "nginx.conf").read_text()
        text = text.replace(
            "include /etc/nginx/v2m/http.d/*.conf;",
            f"set_real_ip_from 10.0.0.{BALANCER};\n"
            "    real_ip_header X-Forwarded-For;")
        self.nginx(machine, text)
        machine.url = f"http://{machine.address}:8080"
        machine.log = home / "access.log"
        self.gateways.append(machine)

    def start_gateways(self):
        for number in GATEWAYS:
            self.start_gateway(number)
        balancer = self.machine("balancer", BALANCER)
        self.nginx(balancer, f"""
daemon    off;
pid       {self.run}/balancer/nginx.pid;
error_log stderr notice;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {self.run}/balancer/body;
    proxy_temp_path       {self.run}/balancer/proxy;
    fastcgi_temp_path     {self.run}/balancer/fastcgi;
    uwsgi_temp_path       {self.run}/balancer/uwsgi;
    scgi_temp_path        {self.run}/balancer/scgi;
    include /etc/nginx/v2m/v2m-balancer.conf;
}}
""")
        for url in [gateway.url for gateway in self.gateways] + [self.url]:
            wait_for(lambda: self.answers(url), 30, what=url)

    @staticmethod
    def answers(url):
        from client import Client
        try:
            return Client(url).request("GET", "/readyz").status == 200
        except OSError:
            return False

    def kill_gateway(self, machine):
        """All of its processes at once."""
        for process in machine.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    # converters

    def start_converter(self, cores=None, **settings):
        number = CONVERTERS + len(self.converters)
        machine = self.machine(f"converter-{number}", number, cores=cores)
        machine.log = self.run / f"{machine.name}.log"
        machine.start(machine.log, BUILD / "v2m-converter",
                      **dict(self.env, **settings))
        self.converters.append(machine)
        wait_for(lambda: "consuming from queue" in machine.log.read_text(),
                 30, what=f"{machine.name}: see {machine.log}")
        return machine

    def stop_converters(self):
        for machine in self.converters:
            machine.stop()


@contextlib.contextmanager
def site(run, *parts, **settings):
    """With the local stack's servers, or those of parts."""
    with contextlib.ExitStack() as stay:
        stack = stay.enter_context(local_stack(
            run / "stack", *(parts or SERVERS), **settings))
        yield Site(stack, run, stay)
