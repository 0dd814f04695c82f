/// \file types.hpp
/// Types that values are read by, from src/include/catalog/pg_type.dat; built-in types never change their numbers.
#pragma once

namespace purgekit::postgresql {

enum TypeNumber : unsigned {
  type_bool = 16,
  type_bytea = 17,
  type_name = 19,
  type_int8 = 20,
  type_int2 = 21,
  type_int4 = 23,
  type_text = 25,
  type_oid = 26,
  type_json = 114,
  type_float4 = 700,
  type_float8 = 701,
  type_bpchar = 1042,
  type_varchar = 1043,
  type_numeric = 1700
};

}  // namespace purgekit::postgresql
