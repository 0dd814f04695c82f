/// \file client.hpp
/// The parts of MySQL Connector/C++ (classic API) we use, in the layout of 1.1 and of 8.x and later.
#pragma once

// The headers are not clean under -Wconversion; they come in as system headers through the build file.
#include <cppconn/connection.h>
#include <cppconn/datatype.h>
#include <cppconn/exception.h>
#include <cppconn/prepared_statement.h>
#include <cppconn/resultset.h>
#include <cppconn/resultset_metadata.h>
#include <cppconn/statement.h>
#include <cppconn/version_info.h>
#include <mysql_driver.h>

#if defined(MYCPPCONN_DM_MAJOR_VERSION) && MYCPPCONN_DM_MAJOR_VERSION < 8
/// Connector 1.1 knows two switches, sslEnforce and sslVerify; built over MariaDB's client library (Debian) it drops
/// OPT_SSL_MODE without a word. Later ones have OPT_SSL_MODE.
#define PURGEKIT_MYSQL_HAS_SSL_MODE 0
#else
#define PURGEKIT_MYSQL_HAS_SSL_MODE 1
#endif

