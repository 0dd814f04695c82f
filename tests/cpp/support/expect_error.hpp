/// \file expect_error.hpp
/// Errors are part of what people see, so tests look at their text.
#pragma once

#include <string>

#include "gtest/gtest.h"
#include "purgekit/error.hpp"

/// `body` throws EngineError or sdk::Error; returns the message, or "" after a test failure.
template <class Body>
std::string message_of(const Body& body) {
  try {
    body();
  } catch (const purgekit::EngineError& e) {
    return e.message();
  } catch (const purgekit::sdk::Error& e) {
    return e.message();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

/// The code of an EngineError, or of an sdk::Error as a word.
template <class Body>
std::string code_of(const Body& body) {
  try {
    body();
  } catch (const purgekit::EngineError& e) {
    return e.code();
  } catch (const purgekit::sdk::Error& e) {
    return purgekit::sdk::code_name(e.code());
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

#define EXPECT_HAS(text, part)                                                            \
  do {                                                                                    \
    const std::string has_text = (text);                                                  \
    EXPECT_NE(has_text.find(part), std::string::npos) << "no \"" << (part) << "\" in: " << has_text; \
  } while (false)
