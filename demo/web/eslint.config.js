import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["built/", "generated/", "kernel/", "node_modules/", "*.js", "*.mjs"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { project: ["./tsconfig.json", "./tsconfig.worker.json", "./tsconfig.test.json"] } },
    rules: {
      complexity: ["error", 12],
      "max-lines": ["error", 260],
      "max-params": ["error", 8],
      // Typed arrays are read within their length; `noUncheckedIndexedAccess` wants each place named.
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-floating-promises": [
        "error",
        { allowForKnownSafeCalls: [{ from: "package", name: "test", package: "node:test" }] },
      ],
    },
  },
);
