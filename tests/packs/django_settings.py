"""Settings of the site whose tables the tests use. Read by Django in an environment of its own."""

import json
import os

import pymysql

pymysql.install_as_MySQLdb()

_given = json.loads(os.environ["SITE"])
DATABASES = {"default": _given["database"]}
TIME_ZONE = _given["time_zone"]
USE_TZ = _given["use_tz"]
SECRET_KEY = "only for tests"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.admin",
    "django.contrib.messages",
    "rest_framework_simplejwt.token_blacklist",
    "oauth2_provider",
    "django_celery_results",
    "axes",
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SILENCED_SYSTEM_CHECKS = ["admin.E403", "admin.E408", "admin.E409", "admin.E410", "axes.W001", "axes.W002"]
# Two days: in the middle of the ages that the tests have.
OAUTH2_PROVIDER = {"REFRESH_TOKEN_EXPIRE_SECONDS": 172_800, "REFRESH_TOKEN_REUSE_PROTECTION": False}
