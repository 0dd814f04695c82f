/// \file sdk.hpp
/// What a backend author includes: the C++ classes that become the C table of abi.h.
///
/// Derive from sdk::SqlConnection (databases that speak SQL; most verbs come ready from a sdk::Dialect) or from
/// sdk::Connection (everything by hand), derive a sdk::Backend that opens it, and end the file with
/// PURGEKIT_DEFINE_BACKEND(YourBackend). Throw sdk::Error for what goes wrong; nothing thrown leaves the library.
#pragma once

#include "purgekit/abi.h"
#include "purgekit/sdk/adapter.hpp"
#include "purgekit/sdk/connection.hpp"
#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/error.hpp"
#include "purgekit/sdk/render.hpp"
#include "purgekit/sdk/sql_connection.hpp"
#include "purgekit/sdk/table.hpp"
#include "purgekit/sdk/value.hpp"
