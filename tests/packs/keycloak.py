"""Keycloak's own tables: the changelogs of its release, applied by Liquibase as Keycloak does when it starts.

Left out of them are the changes written in Java, which need a running Keycloak. They rewrite rows of earlier releases,
and there are none.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

from packs.maven import jars
from packs.products import ProductFailed, run

KEYCLOAK = {
    "org/keycloak/keycloak-model-jpa/26.7.3": "9bc1906093b0d1c049a93d594ae0a45286618bd6f7f7c2810e4e54f9d17850e3"
}
LIQUIBASE = {
    "org/liquibase/liquibase-core/4.33.0": "729691fdd26761f6264e4332a6a657e907c626863da8b4a0bf3bd22dbeebdc6b",
    "info/picocli/picocli/4.7.7": "f86e30fffd10d2b13b8caa8d4b237a7ee61f2ffccf5b1941de718b765d235bf8",
    "com/opencsv/opencsv/5.11.2": "690daad9014f23afd3ab6f1b0c45a5e0b738ac37a8d2e810e196193aab521245",
    "commons-io/commons-io/2.20.0": "df90bba0fe3cb586b7f164e78fe8f8f4da3f2dd5c27fa645f888100ccc25dd72",
    "org/apache/commons/commons-collections4/4.5.0": "00f93263c267be201b8ae521b44a7137271b16688435340bf629db1bac0a5845",
    "org/apache/commons/commons-lang3/3.18.0": "4eeeae8d20c078abb64b015ec158add383ac581571cddc45c68f0c9ae0230720",
    "org/apache/commons/commons-text/1.13.1": "76434bd2dd778ab140d84b3c6ffa40c40fe6219909f5ed1d8b8977c5ae8e50c8",
    "org/yaml/snakeyaml/2.4": "ef779af5d29a9dde8cc70ce0341f5c6f7735e23edff9685ceaa9d35359b7bb7f",
    "org/postgresql/postgresql/42.7.7": "157963d60ae66d607e09466e8c0cdf8087e9cb20d0159899ffca96bca2528460",
    "org/mariadb/jdbc/mariadb-java-client/3.5.4": "9cac1a01e3b2bac18f826d48475b93e6bdb5c16d31f7227f9653c7c8f1b378e7",
}
IN_JAVA = re.compile(r"<customChange\b[^>]*/>|<customChange\b[^>]*>.*?</customChange>", re.DOTALL)


def make_tables(url: str, folder: Path) -> None:
    """Every table of Keycloak in the empty database ``url``. ``folder``: for the changelogs."""
    java = shutil.which("java")
    if java is None:
        raise ProductFailed("Liquibase needs Java: apt-get install default-jre-headless; `--quick` does without")
    (jar,) = jars(KEYCLOAK)
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if re.fullmatch(r"META-INF/jpa-changelog[^/]*\.xml", name):
                (folder / "META-INF").mkdir(exist_ok=True)
                (folder / name).write_text(IN_JAVA.sub("", archive.read(name).decode()))
    parts = urlsplit(url)
    classes = ":".join([*map(str, jars(LIQUIBASE)), str(folder)])
    run(
        [
            java,
            "-XX:TieredStopAtLevel=1",  # it is over before more would pay
            *("-cp", classes, "liquibase.integration.commandline.LiquibaseCommandLine"),
            *("--log-level=OFF", "update", "--show-summary=OFF"),
            "--changelog-file=META-INF/jpa-changelog-master.xml",
            f"--url=jdbc:{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}",
            f"--username={parts.username}",
            f"--password={parts.password or ''}",
        ],
        {"LIQUIBASE_ANALYTICS_ENABLED": "false"},
    )
